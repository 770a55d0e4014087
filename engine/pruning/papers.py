"""The papers that the methods come from, with authors in the paper's order and the conference if there was
one.
"""

from engine.registry import Paper, Venue


def _authors(text: str) -> tuple[str, ...]:
    """Split `Last, First; Last, First`."""
    return tuple(text.split("; "))


def _iclr(year: int) -> Venue:
    return Venue("International Conference on Learning Representations (ICLR)", year)


def _icml(year: int) -> Venue:
    return Venue("International Conference on Machine Learning (ICML)", year)


def _neurips(year: int) -> Venue:
    return Venue("Advances in Neural Information Processing Systems (NeurIPS)", year)


MAGNITUDE = Paper(
    title="Learning both Weights and Connections for Efficient Neural Networks",
    year=2015,
    arxiv="1506.02626",
    authors=_authors("Han, Song; Pool, Jeff; Tran, John; Dally, William J."),
    venue=_neurips(2015),
)
WANDA = Paper(
    title="A Simple and Effective Pruning Approach for Large Language Models",
    year=2023,
    arxiv="2306.11695",
    authors=_authors("Sun, Mingjie; Liu, Zhuang; Bair, Anna; Kolter, J. Zico"),
    venue=_iclr(2024),
)
SPARSESWAPS = Paper(
    title="SparseSwaps: Tractable LLM Pruning Mask Refinement at Scale",
    year=2025,
    arxiv="2512.10922",
    authors=_authors("Zimmer, Max; Roux, Christophe; Wagner, Moritz; Hendrych, Deborah; Pokutta, Sebastian"),
)
SPARSEGPT = Paper(
    title="SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot",
    year=2023,
    arxiv="2301.00774",
    authors=_authors("Frantar, Elias; Alistarh, Dan"),
    venue=_icml(2023),
)
RIA = Paper(
    title="Plug-and-Play: An Efficient Post-training Pruning Method for Large Language Models",
    year=2024,
    link="https://iclr.cc/virtual/2024/poster/18549",
    authors=_authors(
        "Zhang, Yingtao; Bai, Haoli; Lin, Haokun; Zhao, Jialin; Hou, Lu; Cannistraci, Carlo Vittorio"
    ),
    venue=_iclr(2024),
)
MULTIFLOW = Paper(
    title="MULTIFLOW: Shifting Towards Task-Agnostic Vision-Language Pruning",
    year=2024,
    arxiv="2404.05621",
    authors=_authors(
        "Farina, Matteo; Mancini, Massimiliano; Cunegatti, Elia; Liu, Gaowen; Iacca, Giovanni; Ricci, Elisa"
    ),
    venue=Venue("IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)", 2024),
)
NEUROAL = Paper(
    title="Zeroth-Order Adaptive Neuron Alignment Based Pruning without Re-Training",
    year=2024,
    arxiv="2411.07066",
    authors=_authors("Cunegatti, Elia; Custode, Leonardo Lucio; Iacca, Giovanni"),
)
EVOPRESS = Paper(
    title="EvoPress: Accurate Dynamic Model Compression via Evolutionary Search",
    year=2024,
    arxiv="2410.14649",
    authors=_authors("Sieberling, Oliver; Kuznedelev, Denis; Kurtic, Eldar; Alistarh, Dan"),
    venue=_icml(2025),
)
SYMMETRIC = Paper(
    title="Symmetric Pruning of Large Language Models",
    year=2025,
    arxiv="2501.18980",
    authors=_authors("Yi, Kai; Richtárik, Peter"),
)
APT = Paper(
    title="Pruning Foundation Models for High Accuracy without Retraining",
    year=2024,
    arxiv="2410.15567",
    authors=_authors("Zhao, Pu; Sun, Fei; Shen, Xuan; Yu, Pinrui; Kong, Zhenglun; Wang, Yanzhi; Lin, Xue"),
    venue=Venue("Findings of the Association for Computational Linguistics: EMNLP 2024", 2024),
)
FLAP = Paper(
    title="Fluctuation-based Adaptive Structured Pruning for Large Language Models",
    year=2023,
    arxiv="2312.11983",
    authors=_authors("An, Yongqi; Zhao, Xu; Yu, Tao; Tang, Ming; Wang, Jinqiao"),
    venue=Venue("AAAI Conference on Artificial Intelligence", 2024),
)
STADE = Paper(
    title="STADE: Standard Deviation as a Pruning Metric",
    year=2025,
    arxiv="2503.22451",
    authors=_authors(
        "Coello de Portugal Mecke, Diego; Alyoussef, Haya; Stubbemann, Maximilian; Koloiarov, Ilia; Hanika, "
        "Tom; Schmidt-Thieme, Lars"
    ),
)
ADMM = Paper(
    title="Fast and Effective Weight Update for Pruned Large Language Models",
    year=2024,
    arxiv="2401.02938",
    authors=_authors("Boža, Vladimír"),
)
THANOS = Paper(
    title="Thanos: A Block-wise Pruning Algorithm for Efficient Large Language Model Compression",
    year=2025,
    arxiv="2504.05346",
    authors=_authors("Ilin, Ivan; Richtárik, Peter"),
)
ALPS = Paper(
    title="ALPS: Improved Optimization for Highly Sparse One-Shot Pruning for Large Language Models",
    year=2024,
    arxiv="2406.07831",
    authors=_authors("Meng, Xiang; Behdin, Kayhan; Wang, Haoyue; Mazumder, Rahul"),
    venue=_neurips(2024),
)
DSNOT = Paper(
    title="Dynamic Sparse No Training: Training-Free Fine-tuning for Sparse LLMs",
    year=2023,
    arxiv="2310.08915",
    authors=_authors(
        "Zhang, Yuxin; Zhao, Lirui; Lin, Mingbao; Sun, Yunyun; Yao, Yiwu; Han, Xingjia; Tanner, Jared; Liu, "
        "Shiwei; Ji, Rongrong",
    ),
    venue=_iclr(2024),
)
OWL = Paper(
    title="Outlier Weighed Layerwise Sparsity (OWL): A Missing Secret Sauce for Pruning LLMs to High "
    "Sparsity",
    year=2023,
    arxiv="2310.05175",
    authors=_authors(
        "Yin, Lu; Wu, You; Zhang, Zhenyu; Hsieh, Cheng-Yu; Wang, Yaqing; Jia, Yiling; Li, Gen; Jaiswal, "
        "Ajay; Pechenizkiy, Mykola; Liang, Yi; "
        "Bendersky, Michael; Wang, Zhangyang; Liu, Shiwei"
    ),
    venue=_icml(2024),
)
ALPHAPRUNING = Paper(
    title="AlphaPruning: Using Heavy-Tailed Self Regularization Theory for Improved Layer-wise Pruning of "
    "Large Language Models",
    year=2024,
    arxiv="2410.10912",
    authors=_authors(
        "Lu, Haiquan; Zhou, Yefan; Liu, Shiwei; Wang, Zhangyang; Mahoney, Michael W.; Yang, Yaoqing"
    ),
    venue=_neurips(2024),
)
SEMI_STRUCTURED = Paper(
    title="Accelerating Sparse Deep Neural Networks",
    year=2021,
    arxiv="2104.08378",
    authors=_authors(
        "Mishra, Asit; Latorre, Jorge Albericio; Pool, Jeff; Stosic, Darko; Stosic, Dusan; Venkatesh, "
        "Ganesh; Yu, Chong; Micikevicius, Paulius",
    ),
)
