"""The CAM family of grad-cam and torchcam: a file a plugin; what they share is in ``base``."""
