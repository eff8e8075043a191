"""The CAM family of grad-cam and torchcam: a file a plugin; what they share is in ``base``.

torchcam's stand here where they differ from grad-cam's. Left out: RefineCAM and SESS, which join
many maps of other CAMs, each scaled to [0, 1]; the augmentation of ``aug_smooth``; torchcam's
GradCAMpp, whose weights are never divided (release 0.5.0), and LeGrad, which reads the attention of
torchvision's transformers alone; torchcam's CAM, which is ``cam``.
"""
