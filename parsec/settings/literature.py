"""Which settings the paper gives and which had to be chosen; a test holds this against `config/paper.yaml`."""

GIVEN = (
    ("estimator.samples", "K = 16 in the DARTS space (reported by FP-NAS), the same at every step"),
    ("prior.factors", "independent categoricals for the inputs and the operations of every slot"),
    ("start", "uniform at first; the π of the small network when fine-tuning on the large one"),
    ("space", "normal and reduction cells of the DARTS kind with seven primitives"),
)
"""Key and what the sources say of it."""

DARTS_KEYS = (
    "network",
    "batch_size",
    "weights",
    "prior.betas",
    "augmentation",
    "auxiliary_weight",
    "drop_path",
    "label_smoothing",
    "optimizer",
)

NOT_GIVEN = (
    (DARTS_KEYS, "DARTS' values, because the paper works in its space and compares itself with it"),
    (("epochs",), "search and fine-tuning: as many as the stated cost (0.6 and 1 GPU-days) affords; retraining: DARTS"),
    (("prior.learning_rate",), "ten times DARTS' 3e-4, which is slow for a π that starts uniform"),
    (("prior.inputs",), "full independence of the slots lets both inputs of a node coincide"),
    (("estimator.likelihood", "estimator.baseline"), "the estimator as it is written, with nothing added"),
    (("warmup_epochs",), "no source mentions a warm-up"),
    (("train_images", "validation_images"), "ImageNet: the part of a pass that the stated 1 GPU-day leaves room for"),
    (("start", "origins"), "which stage gave the ImageNet row is unknown: the longest chain, and all are retrained"),
    (("seeds", "runs"), "four searches, as DARTS; four runs of each, where DARTS trains one cell ten times"),
    (("validation_fraction", "split_seed"), "halves, as DARTS and FP-NAS; one fixed split keeps searches comparable"),
    (("compute.precision", "compute.layout"), "the faster ones on today's GPUs; likelihoods stay float64"),
)
"""Keys below the branch of a stage or data set (a section stands for all its keys), and the reason for their values."""
