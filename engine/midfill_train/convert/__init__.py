"""An autoregressive checkpoint to a block-diffusion one: same weights, fewer words, new marks."""
