"""Imagenet8 to 64 made anew from ILSVRC's photographs, in the files that Chrabaszcz et al. published."""
