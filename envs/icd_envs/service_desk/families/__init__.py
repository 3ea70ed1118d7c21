"""The families of cases, and the split that each belongs to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Final

from icd_envs.service_desk.case import Case
from icd_envs.service_desk.families import contracts, goods, money, parcels

Maker = Callable[[Random], Case]

TRAIN: Final[Mapping[str, Maker]] = {
    "late_parcel": parcels.late_parcel,
    "wrong_address": parcels.wrong_address,
    "damaged_item": goods.damaged_item,
    "unwanted_item": goods.unwanted_item,
    "warranty": goods.warranty,
    "double_charge": money.double_charge,
    "subscription_cancel": contracts.subscription_cancel,
    "booking_change": contracts.booking_change,
    "data_change": contracts.data_change,
}
DEV: Final[Mapping[str, Maker]] = {
    "wrong_item": goods.wrong_item,
    "gift_card": money.gift_card,
    "booking_cancel": contracts.booking_cancel,
}
TEST: Final[Mapping[str, Maker]] = {
    "lost_parcel": parcels.lost_parcel,
    "price_match": money.price_match,
    "accessibility": contracts.accessibility,
    "complaint": money.complaint,
    "account_closing": contracts.account_closing,
}

SPLITS: Final[Mapping[str, Mapping[str, Maker]]] = {
    "train": TRAIN,
    "dev": DEV,
    "test_seen": TRAIN,
    "test": TEST,
}
"""The families of each split. ``test_seen`` has other cases of the train families; no other two share a family."""
