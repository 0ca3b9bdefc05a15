"""The profiles: how large a run is."""

PROFILES = {
    "smoke": "at most 20 s on 2 cores",
    "cpu": "at most 10 min on 2 cores",
    "gpu": "at most 10 min on one data-centre GPU (not measured), about 9 hours on 2 CPU cores",
    "paper": "days on a CPU: the paper's training schedule, on the synthetic world until a reader for the papers' data "
    "is here",
}
"""From the smallest to the largest, with the time of one notebook (DESIGN section 4) where no accepted run tells it."""
