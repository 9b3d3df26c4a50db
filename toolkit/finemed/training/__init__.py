"""Training on a release: recipes, the pieces their scripts share, and the SFT -> DPO chain.

::

    from finemed.training.run import train_release
    train_release(Path("release"), Path("out"), sft_recipe=None, dpo_recipe=None)

Needs the ``train`` extra; torch, transformers, trl, peft and datasets are imported only where they are used.
"""
