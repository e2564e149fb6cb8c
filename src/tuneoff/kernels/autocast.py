"""Whether torch's autocast is on, and in which precision."""

import torch


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """Return the precision that autocast gives products on a device; None where it is off."""
    kind = device.type
    is_on = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return torch.get_autocast_dtype(kind) if is_on else None
