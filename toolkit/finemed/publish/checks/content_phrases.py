r"""Phrases that give an answer away: refusals in several languages, and placeholders.

::

    refusal_of("I'm sorry, but I can't help with that.")      ->  "refuses"
    refusal_of("As an AI language model, I have no feelings") ->  "speaks as a language model"
    is_placeholder("N/A")                                     ->  True

They are looked for in the few answers that hold one of `CUES`.
"""

from __future__ import annotations

import re

REFUSES, AS_A_MODEL, ERROR = "refuses", "speaks as a language model", "is an error message of a service"
HEAD = 400
"""Characters at the start of an answer in which a refusal is looked for."""

_DO = (
    r"(?:assist|help|provide|answer|fulfil|comply|respond|generate|create|discuss|give|offer|engage|support|share|"
    r"diagnose|process|complete|produce|access|view|write|advise|recommend|participate|continue|do (?:that|this)|"
    r"interpret|analy[sz]e|summari[sz]e|translate|fulfill|make a diagnosis)"
)
_CANNOT = (
    r"(?:can(?:no|')?t|can not|could not|couldn't|won't|will not|(?:am |'m |are |'re )?(?:not able|unable) to|"
    r"(?:am |'m )?not (?:allowed|permitted|qualified|in a position|equipped|authori[sz]ed|comfortable) (?:to|with)|"
    r"(?:must|have to|would have to) (?:decline|refuse)(?: to)?|decline to|refuse to)"
)
_AI = (
    r"(?:ai|a\.i\.|artificial intelligence|(?:large |ai )?language model|llm|ai[- ](?:model|assistant|chatbot|system)|"
    r"virtual assistant|chat ?bot|machine learning model)"
)
_REFUSING = (
    rf"\A\W*(?:i'm|i am|we're|we are)?\s*(?:very |so |really |truly |deeply )?(?:sorry|afraid)\b.{{0,40}}?\b(?:i|we) ?"
    rf"{_CANNOT}\s+(?:\w+ ){{0,3}}?{_DO}",
    r"\A\W*(?:i'm|i am) (?:very |so |really |truly )?sorry\W{1,3}(?:but )?(?:i|we) (?:don't|do not) have "
    r"(?:access|the ability|enough information|any information|the capability|personal|real-time)",
    rf"\A\W*(?:unfortunately|regrettably|(?:my )?apologies|i apologi[sz]e|no|sorry)?\W{{0,3}}(?:but )?(?:i|we) ?"
    rf"{_CANNOT}\s+(?:\w+ly )?{_DO}",
    r"\b(?:goes against|against|violates?) (?:my|our|openai's) (?:programming|ethical|usage|content|safety)? ?"
    r"(?:programming|guidelines|polic(?:y|ies))",
    # Spanish, Portuguese, Italian, French, German, Dutch
    r"\A\W*(?:lo siento|lo lamento|lamento|disculpa|disculpe|perdón|lamentablemente)\b.{0,40}?\bno "
    r"(?:puedo|podemos|me es posible|estoy (?:autorizad|capacitad|en condiciones))",
    r"\A\W*no puedo (?:ayudar|asistir|proporcionar|responder|ofrecer|cumplir|brindar|dar)",
    r"\A\W*(?:desculpe|desculpa|sinto muito|lamento|infelizmente)\b.{0,40}?\bnão (?:posso|podemos|consigo)",
    r"\A\W*não posso (?:ajudar|fornecer|responder|oferecer|atender)",
    r"\A\W*(?:mi dispiace|spiacente|purtroppo)\b.{0,40}?\bnon (?:posso|possiamo|sono in grado)",
    r"\A\W*(?:je suis |nous sommes )?(?:vraiment )?(?:désolée?s?|navrée?|malheureusement)\b.{0,40}?\b(?:je|nous) ne "
    r"(?:peux|pouvons|suis pas (?:en mesure|capable|autorisé)|puis)",
    r"\A\W*je ne (?:peux|suis) pas (?:en mesure de |capable de |autorisée? à )?(?:vous )?"
    r"(?:aider|fournir|répondre|donner)",
    r"\A\W*(?:es )?tut mir (?:sehr )?leid\b.{0,40}?\b(?:ich|wir|kann|können)\b.{0,80}?\b(?:nicht|keine?n?)\b",
    r"\A\W*(?:leider |entschuldigung\W{1,3}(?:aber )?)(?:kann|darf|können) (?:ich|wir) .{0,60}?\b(?:nicht|keine?n?)\b",
    r"\A\W*ich kann (?:ihnen |dir |das |diese[rns]? )?.{0,30}?(?:nicht|keine?n?) .{0,30}?"
    r"(?:helfen|beantworten|geben|leisten)",
    r"\A\W*het spijt me\b.{0,40}?\b(?:ik|kan)\b.{0,60}?\b(?:niet|geen)\b",
    # Chinese, Japanese, Korean, Russian, Arabic
    r"\A\W*(?:非常|很|十分)?(?:抱歉|对不起|對不起|不好意思).{0,16}?(?:我|本人|目前)?.{0,8}?"
    r"(?:无法|不能|没有办法|没办法|無法|沒有辦法|不便|拒绝).{0,12}?"
    r"(?:回答|提供|协助|帮助|满足|处理|给出|诊断|完成|生成|讨论|回应|为您|为你|协助|協助|滿足|診斷)",
    r"\A\W*(?:我|本人)(?:无法|不能|無法)(?:回答|提供|协助|帮助|满足|给出|协助|協助|滿足)",
    r"\A\W*(?:大変)?(?:申し訳(?:ありません|ございません)|すみません|恐れ入ります)が?.{0,60}?"
    r"(?:できません|いたしかねます|できかねます|お答えできません)",
    r"\A\W*(?:죄송하지만|죄송합니다|미안하지만).{0,60}?(?:없습니다|어렵습니다|수 없)",
    r"\A\W*(?:извините|простите|к сожалению|мне жаль)\b.{0,40}?\b(?:я )?не (?:могу|можем|в состоянии)",
    r"\A\W*(?:عذر|آسف|أعتذر|للأسف).{0,40}?لا (?:أستطيع|يمكنني|يمكننا|أقدر)",
)
_SPEAKING = (
    rf"(?:\A|[^\w])as an? {_AI}(?: [a-z]+){{0,4}},? (?:i|i'm|my|it is not|it's not|we)\b",
    rf"(?:\A|[^\w])i(?:'m| am) (?:just |only |merely )?an? {_AI}\b",
    r"(?:\A|[^\w])como (?:una? )?(?:modelo de (?:lenguaje|linguagem)|(?:una? )?inteligencia artificial|"
    r"inteligência artificial|ia|asistente virtual|assistente virtual)\b.{0,30}?(?:no|não|mi|meu|minha)\b",
    r"(?:\A|[^\w])come (?:un )?(?:modello (?:linguistico|di linguaggio)|intelligenza artificiale|ia)\b",
    r"(?:\A|[^\w])en tant qu[e'] ?(?:modèle (?:de langage|linguistique)|ia|intelligence artificielle|"
    r"assistant virtuel)\b",
    r"(?:\A|[^\w])als (?:ein |eine )?(?:ki|künstliche intelligenz|(?:ki-?)?sprachmodell|ki-(?:assistent|modell|system)|"
    r"ai-taalmodel|taalmodel)\b.{0,12}?\b(?:kann|bin|habe|darf|ist|kan|ben|heb)\b",
    r"作为(?:一个|一名|一款|一种)?(?:AI|ai|人工智能|大?型?语言模型|大型语言模型|大语言模型|智能助手|聊天机器人|虚拟助手)"
    r"[^。]{0,16}?(?:，|,|我)",
    r"作為(?:一個|一名)?(?:AI|ai|人工智慧|大型語言模型|語言模型)",
    r"我(?:只)?是(?:一个|一名|一款)?(?:AI|ai|人工智能|(?:大型?)?语言模型|虚拟助手|智能助手)",
    r"AI(?:言語モデル|アシスタント)(?:として|なので)",
    r"(?:\A|[^\w])как (?:языковая модель|ии|искусственный интеллект)\b",
)
_FAILING = (
    r"\A\W*(?:request timed out|rate limit (?:exceeded|reached)|internal server error|too many requests|"
    r"the server had an error|the response was filtered|context[_ ]length[_ ]exceeded|openai api error|"
    r"error code: \d{3}|<?response \[\d{3}\]|no response from (?:the )?(?:model|server|api))",
)
KINDS = {REFUSES: _REFUSING, AS_A_MODEL: _SPEAKING, ERROR: _FAILING}
_CUES = (
    "sorry|afraid|cannot|can't|cant |can not|unable|not able|won't|will not|could not|couldn't|decline|refuse|"
    "not allowed|not permitted|not qualified|not in a position|not equipped|not authori|not comfortable|apolog|"
    "guideline|polic|programming|as an ai|as a large|as a language|as an artificial|as a llm|as an llm|"
    "as a virtual|as a chat|as a machine|as an a.i|am an ai|am a large|am a language|am an artificial|i'm an ai|"
    "i'm a large|i'm a language|just an ai|just a language|just a large|only an ai|merely an ai|am a virtual|"
    "i'm a virtual|am a chat|i'm a chat|am just|i'm just|am only|i'm only|am merely|i'm merely|timed out|"
    "rate limit|internal server|too many requests|the server had|response was filtered|context_length|"
    "context length|openai api|error code|response [|no response from|no puedo|no podemos|no me es|no estoy|"
    "como un|como ia|como mod|como int|como asist|como assist|não posso|não podemos|não consigo|non posso|"
    "non possiamo|non sono in|come un|come mod|come int|come ia|ne peux|ne pouvons|ne suis|ne puis|en tant qu|leid|"
    "leider|entschuldigung|ich kann|als ki|als ein|als sprach|als künst|als ai|als taal|het spijt|抱歉|对不起|"
    "對不起|不好意思|我无法|我不能|我無法|本人无法|本人不能|作为|作為|我是|我只是|申し訳|すみません|恐れ入ります|"
    "ai言語|aiアシスタント|죄송|미안|не могу|не можем|не в состоянии|как |عذر|آسف|أعتذر|للأسف"
)
CUES = tuple(_CUES.split("|"))
"""Of each pattern, a piece that is in whatever it fits; looked for first, since that costs nearly nothing."""
_COMPILED = {kind: [re.compile(form, re.IGNORECASE | re.DOTALL) for form in forms] for kind, forms in KINDS.items()}


def refusal_of(text: str) -> str | None:
    """How the start of an answer refuses; None where it does not."""
    head = text[:HEAD].replace("\u2019", "'")
    return next((kind for kind, forms in _COMPILED.items() if any(form.search(head) for form in forms)), None)


_AS_WRITTEN = frozenset(("None", "nan", "NaN", "NAN", "null", "Null", "NULL", "undefined", "NA", "nil", "NaT", "<NA>"))
"""What programs write for nothing; ``None.`` with its full stop is an answer."""
_PLACEHOLDERS_TEXT = (
    "n/a|n.a.|n.a|#n/a|not applicable|not available|no answer|no response|no answer available|no answer provided|"
    "no answer given|no output|no data|missing|tbd|tba|todo|to do|to be determined|to be added|placeholder|"
    "[answer]|<answer>|[response]|answer here|your answer here|insert answer here|lorem ipsum|xxx|test|empty|blank|"
    "sin respuesta|no aplica|no disponible|sem resposta|não disponível|pas de réponse|non disponible|aucune réponse|"
    "keine antwort|nicht verfügbar|k.a.|k. a.|nessuna risposta|"
    "无|暂无|暂无答案|暂无回答|没有答案|没有回答|无答案|未知答案|"
    "无法回答|答案缺失|待补充|待定|暫無|無|なし|回答なし|없음|нет ответа|нет данных"
)
_PLACEHOLDERS = frozenset(_PLACEHOLDERS_TEXT.split("|"))
_WORDLESS = re.compile(r"[\s\-–—_.…·*?#/\\|~=+]*\Z")


def is_placeholder(text: str) -> bool:
    """Whether an answer stands where there is none."""
    bare = text.strip()
    if len(bare) > 40:
        return False
    return bare in _AS_WRITTEN or bare.lower().rstrip(".。!") in _PLACEHOLDERS or bool(_WORDLESS.match(bare))
