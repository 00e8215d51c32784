"""Networks with one encoder per modality: how encoders are made, and how their features are fused."""
