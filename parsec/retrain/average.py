"""An exponential moving average of the weights of a network in training (PyTorch's, with its buffers)."""

from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from parsec.network.fixed import FixedNetwork


def averaged_weights(network: FixedNetwork, decay: float | None) -> AveragedModel | None:
    """An average that begins as the first weights that it is given; None without a decay.

    The running statistics of batch norm are averaged with the weights, so that they belong together.
    """
    if decay is None:
        return None
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
