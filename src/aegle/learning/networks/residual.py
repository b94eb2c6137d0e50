"""Networks that MONAI provides, set up so that weights learned elsewhere fit.

MONAI is imported when a network is built; that takes seconds.
"""

from torch import nn

WIDTHS = (64, 128, 256, 512)
"""Filters of the four stages of a ResNet (He 2016, table 1)."""


def densenet_121(*, classes: int = 2, channels: int = 3, dropout: float = 0.0) -> nn.Module:
    """Return DenseNet-121 (Huang 2017); with 1000 classes it has 7,978,856 parameters.

    Args:
        classes: Values that it gives.
        channels: Channels of the images.
        dropout: Share dropped after each dense layer while training.
    """
    from monai.networks.nets.densenet import DenseNet

    network: nn.Module = DenseNet(
        spatial_dims=2, in_channels=channels, out_channels=classes, dropout_prob=dropout
    )
    return network


def resnet_18(*, classes: int = 2, channels: int = 3) -> nn.Module:
    """Return ResNet-18 (He 2016); with 1000 classes it has 11,689,512 parameters.

    MONAI's own default strides by 1 in the first layer and gives the shortcuts a bias; this is
    the network of the paper, for which weights exist.

    Args:
        classes: Values that it gives.
        channels: Channels of the images.
    """
    from monai.networks.nets.resnet import ResNet

    network: nn.Module = ResNet(
        "basic",
        [2, 2, 2, 2],
        list(WIDTHS),
        spatial_dims=2,
        n_input_channels=channels,
        conv1_t_size=7,
        conv1_t_stride=2,
        bias_downsample=False,
        num_classes=classes,
    )
    return network


def small_resnet_3d(*, classes: int = 2, channels: int = 1, width: int = 16) -> nn.Module:
    """Return a ResNet-10 for volumes; with the defaults it has 902,674 parameters.

    Args:
        classes: Values that it gives.
        channels: Channels of the volumes.
        width: Filters of the first stage; with 64 the ResNet-10 weights of MedicalNet
            (Chen 2019) fit.
    """
    from monai.networks.nets.resnet import ResNet

    network: nn.Module = ResNet(
        "basic",
        [1, 1, 1, 1],
        list(WIDTHS),
        spatial_dims=3,
        n_input_channels=channels,
        conv1_t_size=7,
        conv1_t_stride=2,
        bias_downsample=False,
        widen_factor=width / WIDTHS[0],
        num_classes=classes,
    )
    return network
