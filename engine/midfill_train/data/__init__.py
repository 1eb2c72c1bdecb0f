"""Documents to training rows: cuts, layout, noise, packing."""
