"""How hostile words in a strategy are spelt: patterns over text in lower case, without accents and hidden characters.

Each was written against texts that `tests/memory/strategy_texts.py` lists, with ordinary ones that look alike.
"""

from __future__ import annotations

import re
from typing import Literal

Concern = Literal["format", "tools", "prompt", "instructions", "links", "frame", "hidden", "length"]

_FORMATS = r"json|xml|ya?ml|html|markdown|base ?64|csv|latex|rot13|hex|morse|emojis?|code blocks?"
_SAYING = r"respond|reply|answer|output|print|return|write|format|emit|produce"
_ABOUT = r"(?:system |hidden |initial |original |developer |secret |internal )"
_RULES = (
    rf"{_ABOUT}?(?:instructions?|prompts?|directives?|directions|guidelines|guardrails|rules|constraints|"
    "system messages?|safety (?:rules|policies|measures))"
)
_WHOSE = (
    r"(?:all|any|every|each|the|your|my|our|these|those|this|that|other|of|previous(?:ly)?|prior|above|earlier|preceding|former|"
    r"existing|given|current|standing|usual|system|foregoing|what|you|were|was|told)"
)
_NOT = r"(?<!never )(?<!not )(?<!n't )(?<!avoid )(?<!without )"

_PATTERNS: tuple[tuple[Concern, str], ...] = (
    # The form of answers.
    (
        "format",
        rf"\b(?:{_SAYING})\b[^.;\n]{{0,40}}\b(?:in|as|with|using|to)\s+(?:an?\s+|valid\s+|pure\s+|raw\s+|"
        rf"plain\s+)*(?:{_FORMATS})\b",
    ),
    (
        "format",
        rf"\b(?:{_SAYING})\s+(?:only\s+|just\s+|nothing but\s+|exactly\s+|always\s+|"
        rf"all answers?\s+)*(?:an?\s+|valid\s+|raw\s+)*(?:{_FORMATS})\b",
    ),
    (
        "format",
        r"\b(?:change|replace|alter|switch|override|drop|abandon|break|use (?:a|another)|new|"
        r"different)\b[^.;\n]{0,25}\b(?:output|answer|response|reply) (?:format|form|syntax|schema|"
        r"structure)\b",
    ),
    (
        "format",
        r"\b(?:output|answer|response|reply) (?:format|syntax|schema|"
        r"structure)\b[^.;\n]{0,15}\b(?:is now|must be|should be|becomes|:)",
    ),
    (
        "format",
        r"\b(?:begin|start|prefix|end|finish|open|close|sign)\b[^.;\n]{0,20}\b(?:every|each|all|your|"
        r"the) (?:answers?|responses?|repl(?:y|ies)|messages?|outputs?|"
        r"lines?)\b[^.;\n]{0,12}\bwith (?:the (?:words?|strings?|tokens?|phrases?|tags?|letters?)|"
        r"[\"'`<\[{])",
    ),
    (
        "format",
        r"\b(?:do not|don't|never|stop|omit|leave out|skip|without|"
        r"no longer)\b[^.;\n]{0,25}(?:\b(?:think|action|plan):|[\"'`](?:think|action|plan):?[\"'`]|"
        r"\b(?:action|think|reasoning) lines?\b)",
    ),
    ("format", r"(?:^|\n)\s*(?:think|action|thought)\s*:"),
    # The prompt.
    (
        "prompt",
        rf"{_NOT}\b(?:reveal|disclose|repeat|print|show|leak|expose|recite|quote|copy|output|echo|dump|"
        rf"share|display|tell|give|summari[sz]e|translate|list|include|paste|state|write (?:out|"
        rf"down))\b[^.;\n]{{0,40}}\b(?:{_ABOUT}(?:prompts?|instructions?|messages?)|"
        rf"your (?:\w+ )?(?:prompts?|instructions)|(?:the|this|that|these|everything in the|whole|entire|"
        rf"full) (?:prompts?|context window|text above|words above|instructions above))\b",
    ),
    (
        "prompt",
        r"\b(?:everything|all text|the text|all words|what was written|what (?:is|stands|was)) (?:above|"
        r"before (?:this|here)) (?:verbatim|word for word|exactly)",
    ),
    # Instructions set aside.
    (
        "instructions",
        rf"{_NOT}\b(?:ignore|disregard|forget|override|bypass|overrule|circumvent|discard|neglect|violate|"
        rf"supersede|set aside|throw away|pay no attention to)\s+(?:{_WHOSE}\s+)*{_RULES}\b",
    ),
    (
        "instructions",
        rf"{_NOT}\b(?:ignore|disregard|forget|discard)\s+(?:everything|anything|all|whatever|"
        rf"what)\b[^.;\n]{{0,30}}\b(?:above|before|previous(?:ly)?|prior|earlier|told|so far|said)\b",
    ),
    (
        "instructions",
        rf"\b(?:do not|don't|never|stop|no longer|not)\s+(?:have to\s+|need to\s+)?(?:follow(?:ing)?|"
        rf"obey(?:ing)?|heed|adhere to|comply with|respect|bound by)\s+(?:{_WHOSE}\s+)*{_RULES}\b",
    ),
    (
        "instructions",
        rf"\b{_RULES}\s+(?:above|before|so far|given (?:above|before))?\s*(?:no longer|do not|don't|"
        rf"does not|doesn't) (?:apply|count|matter|hold|bind)\b",
    ),
    (
        "instructions",
        rf"\b(?:takes?|has|have|takes? full) (?:precedence|priority) over\s+(?:{_WHOSE}\s+)*(?:{_RULES}|"
        rf"task|user|anything)\b",
    ),
    (
        "instructions",
        r"\byou are (?:now|no longer|free (?:of|from)|actually)\b|\bfrom now on,? you\b|"
        r"\bpretend (?:to be|that you|you)\b|\b(?:developer|debug|god|admin|unrestricted|dan|"
        r"sudo) mode\b|\bjailbreak|\bnew (?:system )?(?:instructions|directive|prompt)\s*:|"
        r"\bact as (?:if you (?:had|have) no|an? (?:unrestricted|unfiltered|evil))\b",
    ),
    # Links and addresses.
    ("links", r"\b(?:https?|ftp|file|ws|wss|ssh)://\S+|\b(?:javascript|data|mailto):\S+|\bwww\.\S+"),
    ("links", r"\b[\w.+-]+ ?@ ?[\w-]+(?:\.[\w-]+)+|\b[\w.+-]+ ?(?:\[|\()at(?:\]|\)) ?[\w-]+"),
    (
        "links",
        r"\b(?:[\w-]+\.)+(?:com|net|org|io|dev|info|biz|co|ru|cn|xyz|app|onion|site|online|top|me|"
        r"ai)\b(?:/\S*)?(?!\()",
    ),
    ("links", r"\b\d{1,3}(?:\.\d{1,3}){3}\b|!?\[[^\]]*\]\([^)]+\)"),
    # The frame.
    (
        "frame",
        r"</?\s*(?:strateg(?:y|ies)|examples?|system|assistant|user|human|tools?|instructions?|s)\s*/?>",
    ),
    (
        "frame",
        r"<\|[^|\n]{0,40}\|?>?|\[/?inst\]|<</?sys>>|(?:^|\n)\s*#{2,}\s*(?:system|instructions?|user|"
        r"assistant|response|new task)\b",
    ),
    ("frame", r"(?:^|\n)\s*(?:system|assistant|user|human|developer|tool)\s*:"),
)
CONCERNS = tuple((concern, re.compile(pattern)) for concern, pattern in _PATTERNS)

_NAME = r"[a-z_][a-z0-9_]*(?:\.[a-z_][a-z0-9_]*)*"
_CALLING = r"\b(?:call|invoke|execute|trigger|run)\s+(?:the\s+)?(?:tool\s+|function\s+|api\s+)?"
CALLS = (
    re.compile(rf"(?<![\w.])({_NAME})\((?!s\))"),
    re.compile(rf"{_CALLING}`({_NAME})`"),
    re.compile(rf"{_CALLING}([a-z][a-z0-9]*(?:[_.][a-z0-9]+)+)"),
    re.compile(rf"\b(?:tool|function|api)\s+(?:called\s+|named\s+)?[`\"']({_NAME})[`\"']"),
    re.compile(r"\b(?:tool|function)\s+(?:called\s+|named\s+)?([a-z][a-z0-9]*(?:_[a-z0-9]+)+)\b"),
    re.compile(rf"[`\"']({_NAME})[`\"']\s+(?:tool|function|api)\b"),
    re.compile(r"\b([a-z][a-z0-9]*(?:_[a-z0-9]+)+)\s+(?:tool|function|api)\b"),
)  # fmt: skip
BLOB = re.compile(
    r"[A-Za-z0-9+/]{48,}={0,2}|(?:[0-9a-fA-F]{2}\s?){32,}|(?:\\u[0-9a-fA-F]{4}){4,}|(?:%[0-9a-fA-F]{2}){6,}"
)
