"""Work that says how much memory it took."""

from resource import RUSAGE_SELF, getrusage

from tuneoff.study import Context, Job, do_job


def largest_taken(job: Job, context: Context) -> int:
    """Do a run, and return the most memory that its process has ever taken, in bytes (on Linux)."""
    do_job(job, context)
    return 1024 * getrusage(RUSAGE_SELF).ru_maxrss
