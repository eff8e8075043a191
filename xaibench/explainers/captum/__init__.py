"""captum's attributions: a file a plugin; what they share is in ``base``.

Left out: FeaturePermutation and LayerFeaturePermutation, which permute features over the images of
a call, so that a map would depend on the batch; ShapleyValues, which takes one pass an order, K! of
them; the Neuron methods, which explain a unit and not a target; those for language models.
"""
