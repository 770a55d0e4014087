"""The papers that the methods come from, each once."""

from engine.registry import Paper

MAGNITUDE = Paper(title="Learning both Weights and Connections for Efficient Neural Networks", year=2015, arxiv="1506.02626")
WANDA = Paper(title="A Simple and Effective Pruning Approach for Large Language Models", year=2023, arxiv="2306.11695")
SPARSEGPT = Paper(title="SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot", year=2023, arxiv="2301.00774")
