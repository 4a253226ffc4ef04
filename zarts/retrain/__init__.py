"""What an architecture is worth: its cells as a network of their own, trained and tested.

`settings` and `presets` say what is done, `network` is what is trained, `data` on which images,
`training` is the loop, `ranks` lets several processes share it, `job` records it, `plan` says what
it will cost. The package itself loads no torch.
"""
