"""Dataset cards: one hand-written Markdown template a dataset, whose measured parts the publisher fills in."""
