; The household as a planning domain: a person walks between places, opens and closes them, carries one thing at a
; time, washes, heats and chills what is carried, and switches lamps on.

(define (domain household)
  (:requirements :adl :typing)

  (:types person spot place thing placekind thingkind)

  (:predicates
    (standing ?who - person ?spot - spot)
    (situated ?place - place ?spot - spot)            ; never changes
    (sort ?place - place ?pk - placekind)             ; never changes
    (is ?thing - thing ?tk - thingkind)               ; never changes
    (fits ?tk - thingkind ?pk - placekind)            ; such things may be put at such places
    (lidded ?place - place)                           ; has a door, a lid or a front that opens
    (ajar ?place - place)                             ; and it is open
    (lies ?thing - thing ?place - place)
    (holds ?who - person ?thing - thing)
    (handsfull ?who - person)
    (portable ?thing - thing)
    (washer ?place - place) (heater ?place - place) (cooler ?place - place)
    (washable ?thing - thing) (heatable ?thing - thing) (coolable ?thing - thing)
    (washed ?thing - thing) (hot ?thing - thing) (cold ?thing - thing)
    (switchable ?thing - thing) (lit ?thing - thing)
    (noticed ?what - object)                          ; only so that looking is an action with an effect
  )

  (:action walk
    :parameters (?who - person ?from - spot ?to - spot ?place - place)
    :precondition (and (standing ?who ?from) (situated ?place ?to) (not (= ?from ?to)))
    :effect (and (not (standing ?who ?from)) (standing ?who ?to)))

  (:action unshut
    :parameters (?who - person ?spot - spot ?place - place)
    :precondition (and (standing ?who ?spot) (situated ?place ?spot) (lidded ?place) (not (ajar ?place)))
    :effect (ajar ?place))

  (:action shut
    :parameters (?who - person ?spot - spot ?place - place)
    :precondition (and (standing ?who ?spot) (situated ?place ?spot) (lidded ?place) (ajar ?place))
    :effect (not (ajar ?place)))

  (:action fetch
    :parameters (?who - person ?spot - spot ?thing - thing ?place - place)
    :precondition (and
      (standing ?who ?spot) (situated ?place ?spot) (lies ?thing ?place) (portable ?thing)
      (not (handsfull ?who)) (or (not (lidded ?place)) (ajar ?place)))
    :effect (and (not (lies ?thing ?place)) (holds ?who ?thing) (handsfull ?who)))

  (:action leave
    :parameters (?who - person ?spot - spot ?thing - thing ?place - place ?tk - thingkind ?pk - placekind)
    :precondition (and
      (standing ?who ?spot) (situated ?place ?spot) (holds ?who ?thing)
      (is ?thing ?tk) (sort ?place ?pk) (fits ?tk ?pk) (or (not (lidded ?place)) (ajar ?place)))
    :effect (and (lies ?thing ?place) (not (holds ?who ?thing)) (not (handsfull ?who))))

  (:action wash
    :parameters (?who - person ?spot - spot ?thing - thing ?place - place)
    :precondition (and (standing ?who ?spot) (situated ?place ?spot) (washer ?place) (holds ?who ?thing) (washable ?thing))
    :effect (washed ?thing))

  (:action warm
    :parameters (?who - person ?spot - spot ?thing - thing ?place - place)
    :precondition (and (standing ?who ?spot) (situated ?place ?spot) (heater ?place) (holds ?who ?thing) (heatable ?thing))
    :effect (and (hot ?thing) (not (cold ?thing))))

  (:action chill
    :parameters (?who - person ?spot - spot ?thing - thing ?place - place)
    :precondition (and (standing ?who ?spot) (situated ?place ?spot) (cooler ?place) (holds ?who ?thing) (coolable ?thing))
    :effect (and (cold ?thing) (not (hot ?thing))))

  (:action switch
    :parameters (?who - person ?spot - spot ?thing - thing ?place - place)
    :precondition (and (standing ?who ?spot) (situated ?place ?spot) (lies ?thing ?place) (switchable ?thing))
    :effect (lit ?thing))

  (:action inspect
    :parameters (?who - person ?spot - spot ?thing - thing)
    :precondition (or
      (holds ?who ?thing)
      (exists (?place - place)
        (and (standing ?who ?spot) (situated ?place ?spot) (lies ?thing ?place)
             (or (not (lidded ?place)) (ajar ?place)))))
    :effect (noticed ?thing))

  (:action survey
    :parameters (?who - person ?spot - spot ?place - place)
    :precondition (and (standing ?who ?spot) (situated ?place ?spot))
    :effect (noticed ?place))

  (:action glance
    :parameters (?who - person ?spot - spot)
    :precondition (standing ?who ?spot)
    :effect (noticed ?spot))

  (:action pockets
    :parameters (?who - person)
    :precondition ()
    :effect (noticed ?who))
)
