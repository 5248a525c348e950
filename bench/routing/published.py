"""What others have published on the same data."""

from __future__ import annotations

from bench.table import Table

PUBLISHED = Table(
    "Published",
    ("who", "data", "in scope", "out of scope declined"),
    (
        ("SVM, threshold (Larson et al., EMNLP 2019)", "CLINC150 test, 100 examples", "0.882", "0.18"),
        ("FastText, threshold (same)", "same", "0.886", "0.28"),
        ("Dialogflow, threshold (same)", "same", "0.908", "0.27"),
        ("Rasa, threshold (same)", "same", "0.909", "0.31"),
        ("CNN, threshold (same)", "same", "0.909", "0.31"),
        ("MLP on USE, threshold (same)", "same", "0.934", "0.49"),
        ("BERT, threshold (same)", "same", "0.962", "0.52"),
        ("LMOS router, LLM, from descriptions", "LMOS, 2,000 of 5,000 test requests", "0.964", "-"),
        ("LMOS router, vectors, 3,000 examples", "LMOS, 5,000 test requests", "0.998", "-"),
    ),
)
