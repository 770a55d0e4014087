"""The papers that the methods come from, each once."""

from engine.registry import Paper

MAGNITUDE = Paper(title="Learning both Weights and Connections for Efficient Neural Networks", year=2015, arxiv="1506.02626")
WANDA = Paper(title="A Simple and Effective Pruning Approach for Large Language Models", year=2023, arxiv="2306.11695")
SPARSEGPT = Paper(title="SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot", year=2023, arxiv="2301.00774")
RIA = Paper(
    title="Plug-and-Play: An Efficient Post-training Pruning Method for Large Language Models",
    year=2024,
    link="https://iclr.cc/virtual/2024/poster/18549",
)
MULTIFLOW = Paper(title="MULTIFLOW: Shifting Towards Task-Agnostic Vision-Language Pruning", year=2024, arxiv="2404.05621")
NEUROAL = Paper(title="Zeroth-Order Adaptive Neuron Alignment Based Pruning without Re-Training", year=2025, arxiv="2411.07066")
SYMMETRIC = Paper(title="Symmetric Pruning of Large Language Models", year=2025, arxiv="2501.18980")
APT = Paper(title="Pruning Foundation Models for High Accuracy without Retraining", year=2024, arxiv="2410.15567")
DSNOT = Paper(title="Dynamic Sparse No Training: Training-Free Fine-tuning for Sparse LLMs", year=2023, arxiv="2310.08915")
OWL = Paper(title="Outlier Weighed Layerwise Sparsity (OWL): A Missing Secret Sauce for Pruning LLMs to High Sparsity", year=2023, arxiv="2310.05175")
ALPHAPRUNING = Paper(
    title="AlphaPruning: Using Heavy-Tailed Self Regularization Theory for Improved Layer-wise Pruning of Large Language Models",
    year=2024,
    arxiv="2410.10912",
)
SEMI_STRUCTURED = Paper(title="Accelerating Sparse Deep Neural Networks", year=2021, arxiv="2104.08378")
