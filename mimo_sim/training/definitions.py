"""What the figures of a record mean. Figures of different definitions are not comparable."""

DEFINITIONS = {
    "accuracy": "share of samples whose largest joint output is the true class",
    "macro_f1": "mean over all classes of 2PR/(P+R), with 0/0 := 0",
    "heads": "(b) the method's own uni-modal predictors, trained with the network",
    "sliced": (
        "(a) the joint head split by modality: weight block times feature plus bias / K, "
        "nothing trained for it"
    ),
    "probe": (
        "(d) a linear probe: logistic regression (regression: ridge) on the frozen encoder's "
        "train features, regularisation chosen on validation"
    ),
    "gap": (
        "largest minus smallest uni-modal accuracy (two modalities: |Acc_1 - Acc_2|), "
        "by definition of uni-modal accuracy"
    ),
    "contribution": (
        "Shapley value of the joint accuracy when absent modalities have zero features, "
        "or zero network inputs; sums to v(all) - v(none)"
    ),
    "utilisation": (
        "conditional utilisation rate: the share of its accuracy that the head of a modality loses "
        "when its gates know of the other modalities only their mean over the train split"
    ),
}
