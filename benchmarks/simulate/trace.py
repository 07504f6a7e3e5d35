"""What a published trace says of the jobs of a GPU cluster: when they come, how long they run, how many GPUs they ask for.

Helios: Hu, Sun, Yan, Wen, Zhang: *Characterization and Prediction of Deep Learning Workloads in Large-Scale GPU
Datacenters*, SC '21; six months of 2020, four clusters of SenseTime. The numbers are those of the cluster Earth, read out
of the vector figures and the table that the authors publish with the paper (S-Lab-System-Group/HeliosArtifact, folder
`analysis`, CC BY 4.0); the weekly rhythm is that of the cluster Venus (S-Lab-System-Group/Lucid, `cluster_throughput.csv`).
"""

from __future__ import annotations

#: `job_cdf_jobtime.pdf` (a): per cent of the GPU jobs that ran no longer than 1, 2, 4 … 2**21 seconds.
RUN_LENGTHS = (
    *(0.95, 1.27, 1.59, 2.07, 2.75, 4.05, 9.09, 17.77, 55.12, 71.59, 76.52),
    *(87.59, 88.67, 90.24, 95.73, 97.82, 98.63, 99.27, 99.66, 99.87, 99.96, 100.0),
)
#: `helios_cluster_summary.csv`: the mean run of a GPU job in seconds, beside which what is drawn here is checked.
MEAN_RUN_SECONDS = 5130.6
MEDIAN_RUN_SECONDS = 234.0

#: `job_cdf_gpunum.pdf` (a) and (b): per cent of the jobs, and of their GPU time, by the GPUs they ask for.
JOBS_BY_GPUS = {1: 89.17, 2: 0.81, 4: 2.10, 8: 5.43}  #: the 2.5 % that ask for more than a machine has are left out
TIME_BY_GPUS = {1: 11.49, 2: 1.07, 4: 6.29, 8: 27.90}

#: `cluster_diurnal.pdf` (b): GPU jobs submitted in each hour of the day, on average.
JOBS_BY_HOUR = (
    *(107.9, 96.1, 88.5, 84.4, 81.5, 79.2, 74.0, 74.2, 72.6, 81.5, 102.0, 112.3),
    *(108.9, 112.7, 105.7, 115.8, 113.5, 102.0, 93.7, 107.8, 122.6, 115.6, 105.6, 101.6),
)
#: `cluster_throughput.csv` of Venus: GPU jobs submitted on each day of the week, Monday first, over the mean day.
JOBS_BY_WEEKDAY = (1.022, 1.104, 1.274, 1.201, 0.947, 0.680, 0.771)

#: `user_cdf_time.pdf` (a): the most active per cent of the 215 users have so much of all GPU time (in per cent).
TIME_BY_USERS = (
    *(
        (0.0, 0.0),
        (0.47, 7.2),
        (1.39, 19.51),
        (2.33, 27.76),
        (3.25, 34.26),
        (4.19, 39.79),
        (5.11, 44.54),
        (6.97, 52.53),
    ),
    *(
        (9.3, 60.82),
        (12.09, 68.49),
        (14.89, 74.65),
        (17.67, 79.15),
        (24.18, 87.26),
        (32.1, 93.03),
        (46.04, 97.9),
        (63.25, 99.71),
        (100.0, 100.0),
    ),
)

#: `helios_cluster_summary.csv`: how GPU jobs end.
CANCELLED, FAILED = 0.136, 0.129


def run_seconds(quantile: float) -> float:
    """Return the run length that such a part of the jobs does not exceed, between the points in equal ratios."""
    percent = 100 * quantile
    low = 0.0
    for power, high in enumerate(RUN_LENGTHS):
        if percent <= high:
            within = (percent - low) / (high - low) if high > low else 1.0
            return float(2 ** (power - 1 + within)) if power else 1.0
        low = high
    return float(2 ** (len(RUN_LENGTHS) - 1))


def longer_by_gpus() -> dict[int, float]:
    """Return how many times as long as the mean job one with so many GPUs runs: its part of GPU time over that of jobs."""
    whole = sum(JOBS_BY_GPUS[gpus] for gpus in JOBS_BY_GPUS)
    means = {gpus: TIME_BY_GPUS[gpus] / gpus / JOBS_BY_GPUS[gpus] for gpus in JOBS_BY_GPUS}
    mean = sum(means[gpus] * JOBS_BY_GPUS[gpus] for gpus in JOBS_BY_GPUS) / whole
    return {gpus: found / mean for gpus, found in means.items()}


def activity(people: int) -> list[float]:
    """Return which part of the work is whose, the most active first."""
    ends = [_time_of(100 * number / people) for number in range(people + 1)]
    return [(end - begin) / 100 for begin, end in zip(ends, ends[1:], strict=False)]


def _time_of(users: float) -> float:
    for (left, low), (right, high) in zip(TIME_BY_USERS, TIME_BY_USERS[1:], strict=False):
        if users <= right:
            return low + (high - low) * (users - left) / (right - left)
    return 100.0
