"""What every family must pass: ``metarl check NAME``."""

from metarl.conformance.runner import CheckResult, check_family, check_names, iter_checks

__all__ = ["CheckResult", "check_family", "check_names", "iter_checks"]
