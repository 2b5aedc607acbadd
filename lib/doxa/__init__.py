"""doxa: fine-tune language models on a team's own labelled texts and run them in pipes."""

__version__ = "0.1.0"
