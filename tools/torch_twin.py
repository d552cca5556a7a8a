"""A PyTorch twin of a train step, to be timed beside ours: what `benchmark_training.py --against=torch` runs.

It needs PyTorch and NumPy and nothing of this project, so that it runs in an environment of its own:

    python tools/torch_twin.py TWIN.npz [--device=cuda] [--compile[=MODE]] [--precision=tf32|bfloat16] [--optimizer=sgd]

TWIN.npz holds the method's name, its settings, our weights by network, a batch and the noise of one step. PyTorch's
"same" padding of strided convolutions is the mirror image of TensorFlow's, so kernels and images are mirrored: the
losses of a first step are then ours up to rounding, and are printed for that; a file without weights, which is light
to carry, gets small random ones. Each further line on stdin is a number of steps to take; it is answered by seconds of
wall and of CPU time for one step.
"""

import json
import math
import resource
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

SMALLEST_SQUARE, SMALLEST_MOVE = 1e-4, 1e-20  # as in pga_tf.objectives


def _filled(made, weight, bias):
    made.weight.data, made.bias.data = weight.contiguous(), torch.tensor(bias)
    return made


def _dense(kernel, bias, flattened):
    kernel = torch.tensor(kernel)
    if flattened:  # rows are (H, W, C), and become (C, H, W), mirrored
        units = kernel.shape[1]
        kernel = kernel.reshape(*flattened, units).flip(0, 1).permute(2, 0, 1, 3).reshape(-1, units)
    return _filled(nn.Linear(*kernel.shape), kernel.T, bias)


def _mirrored(kernel):
    return torch.tensor(kernel).flip(0, 1).permute(3, 2, 0, 1)


def _conv(kernel, bias):
    kernel = _mirrored(kernel)
    count, channels, size = kernel.shape[:3]
    return _filled(nn.Conv2d(channels, count, size, stride=2, padding=size // 2), kernel, bias)


def _deconv(kernel, bias):
    kernel = _mirrored(kernel)  # ours is [h, w, out, in]
    channels, count, size = kernel.shape[:3]
    made = nn.ConvTranspose2d(channels, count, size, stride=2, padding=size // 2, output_padding=1)
    return _filled(made, kernel, bias)


class Network(nn.Module):
    """Layers from our weights, in the order in which ours has them; `ours` says what each is."""

    def __init__(self, ours, weights):
        super().__init__()
        self.kinds, self.modules_of, flattened = [], nn.ModuleList(), None
        arrays = iter(weights)
        for layer in ours:
            self.kinds.append(layer)
            kind = layer["kind"]
            if kind == "head":
                parts = [_dense(next(arrays), next(arrays), flattened) for _ in range(2)]
                self.modules_of.append(nn.ModuleList(parts))
            elif kind == "dense":
                self.modules_of.append(_dense(next(arrays), next(arrays), flattened))
            elif kind in ("conv", "deconv"):
                made = {"conv": _conv, "deconv": _deconv}[kind]
                self.modules_of.append(made(next(arrays), next(arrays)))
            else:
                self.modules_of.append(nn.Identity())
            if kind in ("flatten", "dense"):
                flattened = layer.get("shape")  # of what the next dense layer takes
            if kind == "reshape":
                self._reorder_rows(layer["shape"])

    def _reorder_rows(self, shape):
        """The dense layer before a reshape to (H, W, C) gives (C, H, W), mirrored."""
        dense = next(m for m in reversed(self.modules_of) if isinstance(m, nn.Linear))
        rows = lambda t: t.reshape(*shape, -1).flip(0, 1).permute(2, 0, 1, 3).reshape(t.shape).contiguous()
        dense.weight.data, dense.bias.data = rows(dense.weight.data), rows(dense.bias.data[:, None])[:, 0]

    def forward(self, x):
        for layer, module in zip(self.kinds, self.modules_of, strict=True):
            kind = layer["kind"]
            if kind == "flatten":
                x = x.flatten(1)
            elif kind == "reshape":
                height, width, channels = layer["shape"]
                x = x.reshape(-1, channels, height, width)
            elif kind == "relu":
                x = F.relu(x)
            elif kind == "leaky_relu":
                x = F.leaky_relu(x, 0.2)
            elif kind in ("tanh", "sigmoid"):
                x = getattr(torch, kind)(x)
            elif kind == "head":
                mean, log_variance = module
                x = mean(x), torch.exp(0.5 * log_variance(x).clamp(-40.0, 40.0))
            else:
                x = module(x)
        return x


def held(network):
    """`network` with its parameters as constants."""
    constants = {name: value.detach() for name, value in network.named_parameters()}
    return lambda x: torch.func.functional_call(network, constants, (x,))


def half_square(d):
    return 0.5 * d.square().flatten(1).sum(1)


def lpga_losses(f, g, x, noise, o):
    """Eq. 9 with the paper's routing and as few passes as ours takes."""
    z_n, eps = noise
    dim, pixels = z_n.shape[1], x[0].numel()
    codes = f(torch.cat([x, g(z_n).detach()]))
    z, h_n = codes.chunk(2)
    z_held = z.detach().requires_grad_()
    x_hat = g(z_held)
    l_r = half_square(x_hat - x)
    (into_z,) = torch.autograd.grad(l_r.sum(), z_held, retain_graph=True)
    carried = (into_z * z).sum(1)
    l_r = l_r + carried - carried.detach()
    delta = o["perturbation_scale"] * dim**0.5 * F.normalize(eps)
    h, h_pert = held(f)(torch.cat([x_hat, g(z_held.detach() + delta)])).chunk(2)
    moved = (h_pert - h).square().sum(1).clamp_min(SMALLEST_MOVE)
    losses = {
        "L_r": 2.0 / pixels * l_r,
        "L_lr_N": 2.0 / dim * half_square(h_n - z_n),
        "L_nll_phi": half_square(z) / dim + 0.5 * np.log(2.0 * np.pi),
        "L_nll_theta": 0.5 * (moved.log() - delta.square().sum(1).log()),
    }
    nll = o["weight_nll"] * (losses["L_nll_phi"] + losses["L_nll_theta"])
    return losses, (losses["L_r"] + o["weight_lr_n"] * losses["L_lr_N"] + nll).mean()


def vae_losses(f, g, x, noise, o, log_gamma):
    """The bound with a learned gamma, a mean over pixels as ours is trained."""
    (eps,) = noise
    mean, stddev = f(x)
    x_hat, pixels = g(mean + stddev * eps), x[0].numel()
    nll = half_square(x_hat - x) * torch.exp(-2.0 * log_gamma) + pixels * (log_gamma + 0.5 * np.log(2.0 * np.pi))
    kl = 0.5 * (mean.square() + stddev.square() - 1.0 - 2.0 * stddev.log()).sum(1)
    return {"nll": nll, "kl": kl}, ((nll + kl) / pixels).mean()


def wgan_gp_step(d, g, batches, noise, optimisers, o):
    """`len(batches)` updates of the critic, one of the generator."""
    for x, u, a in zip(batches, noise["u"], noise["a"], strict=False):
        y = g(u).detach()
        t_real, t_generated = d(torch.cat([x, y]))[:, 0].chunk(2)
        between = (x + a[:, None, None, None] * (y - x)).requires_grad_()
        (slope,) = torch.autograd.grad(d(between).sum(), between, create_graph=True)
        penalty = ((SMALLEST_SQUARE + slope.square().flatten(1).sum(1)).sqrt() - 1.0).square()
        losses = {"L_C": t_generated - t_real, "penalty": penalty}
        optimisers["critic"].zero_grad()
        (losses["L_C"] + o["weight_penalty"] * penalty).mean().backward()
        optimisers["critic"].step()
    optimisers["generator"].zero_grad()
    losses["L_G"] = -held(d)(g(noise["u"][-1]))[:, 0]
    losses["L_G"].mean().backward()
    optimisers["generator"].step()
    return losses


class Adam(torch.optim.Adam):
    """PyTorch's, with Keras's epsilon: beside moments that are not corrected yet."""

    updates = 0

    def step(self):
        self.updates += 1
        for group in self.param_groups:
            group["eps"] = 1e-7 / math.sqrt(1 - group["betas"][1] ** self.updates)
        return super().step()


class Twin:
    """A step of `method`, as a function of nothing: the batch and, after the first step, the noise are its own."""

    def __init__(self, path, device, compiled, precision, optimizer):
        held_here = np.load(path)
        self.spec = json.loads(str(held_here["spec"]))
        self.device, self.precision = torch.device(device), precision
        if precision == "tf32":
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        else:
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        layout = torch.channels_last if self.device.type == "cuda" else torch.contiguous_format
        self.networks = {}
        for role, layers in self.spec["networks"].items():
            rng, weights = np.random.default_rng(0), []
            for i, shape in enumerate(self.spec["arrays"][role]):
                given = held_here.get(f"{role}_{i}")
                weights.append(0.02 * rng.normal(size=shape).astype(np.float32) if given is None else given)
            network = Network(layers, weights)
            self.networks[role] = network.to(self.device, memory_format=layout)
        images = torch.tensor(held_here["images"]).movedim(-1, -3).flip(-1, -2)
        self.images = images.to(self.device)
        if self.images.dim() == 4:
            self.images = self.images.contiguous(memory_format=layout)
        self.noise = {
            k[6:]: torch.tensor(held_here[k], device=self.device) for k in held_here if k.startswith("noise_")
        }
        self.log_gamma = nn.Parameter(torch.zeros([], device=self.device))
        own = [self.log_gamma] if self.spec["method"] == "vae" else []
        if self.spec["method"] == "wgan_gp":
            players = {"critic": "critic", "generator": "decoder"}
            self.optimisers = {
                player: self._optimiser(optimizer, compiled, self.networks[role].parameters())
                for player, role in players.items()
            }
        else:
            everything = [p for network in self.networks.values() for p in network.parameters()]
            self.optimisers = {"all": self._optimiser(optimizer, compiled, [*everything, *own])}
        self.run = torch.compile(self._losses, mode=compiled or None) if compiled is not None else self._losses
        self.count = 0

    def _optimiser(self, name, compiled, parameters):
        if name == "sgd":
            return torch.optim.SGD(parameters, lr=self.spec["learning_rate"], momentum=0.9, fused=True)
        captured = compiled is not None and self.device.type == "cuda"
        return Adam(parameters, lr=self.spec["learning_rate"], fused=True, capturable=captured)

    def _losses(self, noise):
        o, n = self.spec["options"], self.networks
        if self.spec["method"] == "lpga":
            return lpga_losses(n["encoder"], n["decoder"], self.images, noise, o)
        return vae_losses(n["encoder"], n["decoder"], self.images, noise, o, self.log_gamma)

    def step(self):
        """One step; losses by name, means over the batch."""
        noise = self.noise
        if self.count:  # drawn anew in every step, as ours is
            noise = {k: torch.rand_like(v) if k == "a" else torch.randn_like(v) for k, v in noise.items()}
        self.count += 1
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            if self.spec["method"] == "wgan_gp":
                return wgan_gp_step(
                    self.networks["critic"], self.networks["decoder"], self.images, noise, self.optimisers,
                    self.spec["options"],
                )  # fmt: skip
            losses, total = self.run(list(noise.values()))
        self.optimisers["all"].zero_grad()
        total.backward()
        self.optimisers["all"].step()
        return losses

    def timed(self, steps):
        """Seconds of wall and of CPU time for one step."""
        began, cpu = time.perf_counter(), _cpu()
        for _ in range(steps):
            losses = self.step()
        next(iter(losses.values())).detach().mean().item()
        return (time.perf_counter() - began) / steps, (_cpu() - cpu) / steps


def _cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main():
    flags = dict(argument[2:].partition("=")[::2] for argument in sys.argv[2:])
    device, compiled = flags.get("device", "cpu"), flags.get("compile")
    twin = Twin(sys.argv[1], device, compiled, flags.get("precision", "float32"), flags.get("optimizer", "adam"))
    first = {name: float(value.detach().mean()) for name, value in twin.step().items()}
    print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads(), "first": first}), flush=True)
    for line in sys.stdin:
        print(*twin.timed(int(line)), flush=True)


if __name__ == "__main__":
    main()
