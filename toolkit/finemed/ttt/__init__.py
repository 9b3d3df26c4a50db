"""Test-time training: find the nearest samples of the ``ttt`` pool, adapt on them, answer, put everything back.

::

    from finemed.ttt.answer import Session
    session = Session.open(recipe)
    session.answer("What is gout?").answer

Needs the ``train`` extra; sentence-transformers embeddings need ``embed``.
"""
