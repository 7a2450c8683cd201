"""The rule that a site has unless it sets another: defaults of `TRIAGE_TRIAGE__STAT` and `TRIAGE_TRIAGE__HIGH`."""

STAT: tuple[str, ...] = ("Pneumothorax",)
HIGH: tuple[str, ...] = ("Edema", "Consolidation", "Pneumonia", "Effusion", "Mass", "Nodule")
