"""Words in the names of columns that tell what a column holds, in the languages that datasets of the field come in.

::

    name_words("Response_a2")    ->  ("response",)
    "response" in WORDS["answer"], "url" in METADATA     ->  True, True
"""

from __future__ import annotations

import re
from functools import lru_cache

_QUESTION = """
question questions query queries prompt prompts instruction instructions input inputs stem chat
chats conversation conversations dialogue dialogues dialog dialogs messages utterances pregunta frage
vraag domanda pergunta 问题 提问 指令 输入 質問 سؤال вопрос
"""
_CONTEXT = """
context contexts passage passages abstract snippet snippets excerpt evidence option options choice
choices note notes soap transcript article kontext contexte contexto 背景 选项 контекст
"""
_ANSWER = """
answer answers response responses output outputs completion completions reply replies generation
generations generated rationale rationales explanation explanations thought thoughts thinking reasoning
cot critique solution solutions chosen rejected summary respuesta antwort antwoord reponse réponse
risposta resposta 答案 回答 回复 输出 回應 答え جواب إجابة ответ
"""
_LABEL = "label labels verdict preference preferred winner correct"
WORDS = {
    "system": frozenset(("system", "tools", "functions")),
    "question": frozenset(_QUESTION.split()),
    "context": frozenset(_CONTEXT.split()),
    "answer": frozenset(_ANSWER.split()),
    "label": frozenset(_LABEL.split()),
}
"""Words of a name that tell what a column is; of several, the last."""
_ASKS = "user patient asker ask asks asked human student inquiry complaint problem body"
_REPLIES = "doctor physician assistant bot gpt model expert advice diagnosis findings finding"
HINTS = dict.fromkeys(_ASKS.split(), "question") | dict.fromkeys(_REPLIES.split(), "answer")
"""Words that tell it only where the values read like text."""
_ABOUT = """
id ids idx index uid uuid guid key hash sha sha1 sha256 md5 crc url urls uri link links href path paths
file files filename filepath dir folder source sources src origin provenance dataset datasets corpus
repo license licence licenses licences copyright attribution lang language languages locale split splits
subset partition fold date dates datetime time times timestamp timestamps created updated modified
published year month day author authors user username annotator annotators worker rater editor model
models engine generator provider token tokens length len count counts num number nr no size chars
characters words version revision meta metadata info extra extras attributes tag tags keyword keywords
mesh meshes doi pmid pmcid isbn issn journal publisher venue logprob logprobs probability prob
perplexity loss latency duration cost usage seed temperature embedding embeddings vector vectors offset
offsets start end begin position pos row line page status type types format encoding mime unnamed

qid pid sid cid did tid rid gid docid rowid collection collections benchmark benchmarks
"""
METADATA = frozenset(_ABOUT.split())
"""Words that, last in a name, say that a column is about its row: its origin, who made it, how it was counted."""
COUNTED = ("n_", "num_", "nb_", "count_", "total_")
"""What names of counts begin with."""
TAILS = frozenset(("name", "names", "at", "by", "on", "code", "used"))
"""Words that say no more than the one before them, as in `model_name` and `created_at`."""
ANYWHERE = frozenset(
    ("id", "ids", "idx", "uuid", "url", "urls", "uri", "hash", "sha256", "md5", "timestamp", "unnamed")
)
"""Words that say so wherever they stand in a name."""
_NEVER = """
license licence licenses licences copyright attribution url urls uri link links href id ids uuid hash
path paths file files filename filepath timestamp date datetime embedding embeddings vector vectors
"""
NEVER = frozenset(_NEVER.split())
"""Words of such columns that are never read, however their values look."""
JUDGED = frozenset(("winner", "preferred", "preference", "verdict", "correct", "chosen", "rejected"))
"""Words that say that a column tells what is right, whatever else is in its name, as in `winner_model_a`."""
_MEDIA = "image images img imgs picture pictures photo figure scan slide audio video media xray dicom"
MEDIA = frozenset(_MEDIA.split())
"""Words of columns that say which picture or recording a row is about: by its bytes, its path or its id."""
_SPLIT = re.compile(r"[\W_]+|(?<=[^\W\d_])(?=\d)|(?<=[a-z])(?=[A-Z])")


@lru_cache(maxsize=4096)
def name_words(name: str) -> tuple[str, ...]:
    """The words of a name in lower case, without numbers and single letters."""
    found = [word.lower() for word in _SPLIT.split(name) if word]
    return tuple(word for word in found if not word.isdigit() and not (len(word) == 1 and word.isascii()))
