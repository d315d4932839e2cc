"""Bundles: an initialization on disk with everything that serving it needs.

A bundle is a folder `models/<name>/`. The server reads two of its files, JSON and safetensors, and never a pickle:

    weights.safetensors   the meta-parameters, float32, named as in the network's `state_dict`, and the arrays of the
                          encoder under names that start with `files.ENCODER_PREFIX`
    bundle.json           everything else, as `manifest.Manifest`, with the sha256 of the weights

`folder.load` verifies both files and raises BundleError with the file and the reason. `CARD.md` and its plots are for
people.
"""
