"""Whether torch's autocast is on, and in which precision."""

import torch


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """Return the precision that autocast gives products on a device; None where it is off."""
    return torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else None
