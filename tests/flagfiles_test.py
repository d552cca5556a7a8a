"""The flagfiles hold the published settings, and no text a user reads has a hole left in it."""

import re

import pytest

from tests.test_flags import FLAGFILES, ROOT, parse, parse_prior

# METHODS.md, section 1, typed by hand: the options by data set, then the weights by method and data set
OF_DATASET = {
    "mnist": {
        "dataset": "tfds:mnist", "network": "conv_mnist", "learning_rate": 0.1, "epochs": 600,
        "batch_norm": "none", "latent_dim": 32,
    },
    "cifar10": {
        "dataset": "tfds:cifar10", "network": "conv_32", "learning_rate": 0.2, "epochs": 400,
        "batch_norm": "per_source", "latent_dim": 128,
    },
    "celeba": {
        "dataset": "tfds:celeb_a", "network": "conv_64", "learning_rate": 0.4, "epochs": 100,
        "batch_norm": "per_source", "latent_dim": 128, "crop": 108, "image_size": 64, "filters": 64,
        "train_on": "all", "resize": "tf1_bicubic",
    },
}  # fmt: skip
OF_EVERY_ROW = {"optimizer": "sgd", "momentum": 0.9, "schedule": "constant", "batch_size": 64, "seed": 0}
ROWS = {
    ("lpga", "mnist"): {
        "latent_dim": 12, "weight_lr_n": 6e-2, "weight_lr_h": 0, "weight_nll": 1.5e-2, "warmup_steps": 3000,
        "perturbation": "sphere", "perturbation_scale": 1e-2,
    },
    ("lpga", "cifar10"): {
        "weight_lr_n": 3e-2, "weight_lr_h": 0, "weight_nll": 1.5e-2, "warmup_steps": 3000,
        "perturbation": "sphere", "perturbation_scale": 1e-2,
    },
    ("lpga", "celeba"): {
        "weight_lr_n": 3e-2, "weight_lr_h": 1e-2, "weight_nll": 1e-2, "warmup_steps": 3000,
        "perturbation": "sphere", "perturbation_scale": 1e-2,
    },
    ("vpga", "mnist"): {
        "weight_lr_n": 6e-2, "weight_lr_h": 0, "weight_vr": 1e-2, "weight_vkl": 2e-2, "warmup_steps": 0,
    },
    ("vpga", "cifar10"): {
        "weight_lr_n": 3e-2, "weight_lr_h": 0, "weight_vr": 5e-3, "weight_vkl": 3e-2, "warmup_steps": 0,
    },
    ("vpga", "celeba"): {
        "weight_lr_n": 3e-2, "weight_lr_h": 1e-2, "weight_vr": 1e-2, "weight_vkl": 2e-3, "warmup_steps": 0,
        "epochs": 60,
    },
    ("lvpga", "mnist"): {
        "weight_lr_n": 6e-2, "weight_lr_h": 0, "weight_vr": 2e-2, "weight_vkl": 2e-2, "weight_nll": 0,
        "warmup_steps": 3000, "perturbation_scale": 1e-2,
    },
    ("lvpga", "cifar10"): {
        "weight_lr_n": 3e-2, "weight_lr_h": 0, "weight_vr": 1.5e-2, "weight_vkl": 5e-2, "weight_nll": 2e-2,
        "warmup_steps": 3000, "perturbation_scale": 1e-2,
    },
    ("lvpga", "celeba"): {
        "weight_lr_n": 3e-2, "weight_lr_h": 1e-2, "weight_vr": 1e-2, "weight_vkl": 5e-3, "weight_nll": 1e-2,
        "warmup_steps": 3000, "perturbation_scale": 1e-2,
    },
    ("vae", "mnist"): {"posterior_stddev": 0},
    ("vae", "cifar10"): {"posterior_stddev": 0},
    ("vae", "celeba"): {"posterior_stddev": 0},
}  # fmt: skip
# a fast run reaches for the same model by another road
ROAD = {"optimizer", "learning_rate", "momentum", "schedule", "epochs", "warmup_steps", "batch_size"}
TEXTS = [*FLAGFILES, ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
PLACEHOLDER = re.compile(r"\b[A-Z]{3,}_[A-Z_]{3,}\b")
NAMES_IN_CAPITALS = re.compile(r"TFDS_DATA_DIR|AVX512_BF16|TF_\w+|KEEPS_BEST|MODEL_BASE|MODEL_NAME")


@pytest.mark.parametrize(("method", "dataset"), ROWS)
def test_a_flagfile_holds_the_published_values(method, dataset):
    published = {"method": method, **OF_EVERY_ROW, **OF_DATASET[dataset], **ROWS[method, dataset]}
    values = parse(f"--flagfile={ROOT}/flagfiles/{method}_{dataset}.flags").values()
    assert {name: values[name] for name in published} == published
    assert values["steps"] == 0  # --epochs decides
    assert values["mixed_precision"] == "none"
    fast = parse(f"--flagfile={ROOT}/flagfiles/{method}_{dataset}_fast.flags").values()
    kept = published.keys() - ROAD
    assert {name: fast[name] for name in kept} == {name: published[name] for name in kept}


# METHODS_2.md, section 11, typed by hand. Of VAEs: KL's weight against the mean over channels, summed over positions
GHOSH = {
    "mnist": {"channels": 1, "latent_dim": 16, "learning_rate": 5e-4, "epochs": 100},
    "cifar10": {"channels": 3, "latent_dim": 128, "learning_rate": 5e-4, "epochs": 100},
    "celeba": {"channels": 3, "latent_dim": 64, "learning_rate": 1e-3, "epochs": 70},
}
KL_WEIGHTS = {
    "vae_cv": {"mnist": 0.039, "cifar10": 9e-4, "celeba": 0.01},
    "vae_cited": {"mnist": 0.312, "cifar10": 0.024, "celeba": 0.09024},
}
RAE = {  # (beta, lambda)
    "rae_l2": {"mnist": (1e-4, 1e-7), "cifar10": (1e-3, 1e-6), "celeba": (1e-4, 1e-7)},
    "rae_sn": {"mnist": (9e-3, 0), "cifar10": (3e-2, 0), "celeba": (2.4e-3, 0)},
    "rae_gp": {"mnist": (1e-4, 5e-8), "celeba": (1e-4, 1e-7)},
    "rae_none": {"mnist": (5e-4, 0), "cifar10": (1e-2, 0), "celeba": (1e-4, 0)},
    "ae_cited": {"mnist": (0, 0), "cifar10": (0, 0), "celeba": (0, 0)},
}
REGULARISERS = {"l2": "l2", "sn": "spectral_norm", "gp": "gradient_penalty", "none": "none", "cited": "none"}


def ghosh(name, dataset, **others):
    """The options of a flagfile that holds a row of Ghosh et al., once those that their rows share are right."""
    values = parse(f"--flagfile={ROOT}/flagfiles/{name}_{dataset}.flags").values()
    shared = {key: value for key, value in GHOSH[dataset].items() if key != "channels"}
    shared |= {"optimizer": "adam", "batch_size": 100, "mixed_precision": "none"} | others
    assert {key: values[key] for key in shared} == shared
    return values


@pytest.mark.parametrize(("name", "dataset"), [(name, dataset) for name in KL_WEIGHTS for dataset in KL_WEIGHTS[name]])
def test_a_cited_vae_weighs_kl_as_the_released_code(name, dataset):
    others = {"epochs": 70} if (name, dataset) == ("vae_cv", "cifar10") else {}
    others |= {"batch_size": 1000} if (name, dataset) == ("vae_cited", "celeba") else {}
    values = ghosh(name, dataset, learning_rate=1e-4, **others)
    stddev = 0.7 if name == "vae_cv" else 0.0
    assert (values["likelihood"], values["pixel_range"], values["posterior_stddev"]) == ("fixed_gamma", "unit", stddev)
    # ours: |x - x_hat|^2 / (2 gamma^2) + KL over all H W C values; theirs: |x - x_hat|^2 / C + w KL
    assert 2 * values["gamma"] ** 2 / GHOSH[dataset]["channels"] == pytest.approx(KL_WEIGHTS[name][dataset], rel=1e-5)
    prior, own = parse_prior(f"--flagfile={ROOT}/flagfiles/{name}_{dataset}.flags")
    assert (prior.prior, getattr(own, "components", None)) == (("mixture", "1") if name == "vae_cv" else ("", None))
    if name == "vae_cv":
        fast = parse(f"--flagfile={ROOT}/flagfiles/{name}_{dataset}_fast.flags").values()
        kept = values.keys() - ROAD - {"steps", "mixed_precision", "workdir"}
        assert {key: fast[key] for key in kept} == {key: values[key] for key in kept}


@pytest.mark.parametrize(("name", "dataset"), [(name, dataset) for name in RAE for dataset in RAE[name]])
def test_a_rae_has_the_coefficients_of_the_released_code(name, dataset):
    values = ghosh(name, dataset)
    regulariser = REGULARISERS[name.split("_")[1]]
    wanted = (regulariser, *RAE[name][dataset])
    assert tuple(values[key] for key in ("regulariser", "weight_code", "weight_regulariser")) == wanted
    cited_alone = (name, dataset) == ("rae_l2", "celeba")  # of which no score with a mixture is on record
    prior, own = parse_prior(f"--flagfile={ROOT}/flagfiles/{name}_{dataset}.flags")
    assert (prior.prior, own.components) == ("mixture", "1" if cited_alone else "10")
    plain = cited_alone or dataset == "cifar10"
    assert own.mixture == ("em" if plain else "dirichlet")


# METHODS_2.md, section 15, typed by hand: (the paper's text, the released code) where they differ
CELEBA_TRAINED_ON = 162_770
TWO_STAGE = {
    "wae": {"epochs": (120, 70), "halve_every": (48, 30), "prior_epochs": (300, 70), "prior_halve_every": (120, 30)},
    "resnet": {
        "epochs": (120, 100), "halve_every": (48, 40), "prior_epochs": (300, 100), "prior_halve_every": (120, 40),
        "latent_dim": (64, 128), "scale_blocks": (2, 1), "second_width": (2048, 1024),
    },
}  # fmt: skip


@pytest.mark.parametrize("network", TWO_STAGE)
def test_text_and_released_code_of_the_two_stage_vae_have_a_flagfile_each(network):
    held = []
    for which, stem in enumerate((f"two_stage_vae_celeba_{network}", f"two_stage_vae_celeba_{network}_code")):
        path = ROOT / f"flagfiles/{stem}.flags"
        fit, second = parse_prior(f"--flagfile={path}")
        values = parse(f"--flagfile={path}").values() | vars(fit) | vars(second)
        values["prior_epochs"] = round(values["prior_steps"] * values["prior_batch_size"] / CELEBA_TRAINED_ON)
        wanted = {name: pair[which] for name, pair in TWO_STAGE[network].items()}
        wanted |= dict.fromkeys(("weight_decay", "prior_weight_decay"), (5e-4, 0)[which])
        wanted |= {"resize": "bilinear", "train_on": "train", "crop": 128, "image_size": 64}
        assert {name: values[name] for name in wanted} == wanted
        held.append({name: v for name, v in values.items() if name not in {*wanted, "prior_steps", "workdir"}})
        assert f"two_stage_vae_celeba_{network}{('_code', '')[which]}.flags" in path.read_text()  # each names the other
    assert held[0] == held[1]


# METHODS_2.md, section 9, typed by hand: loss, penalty, critic norm, rate, beta_1, updates of the critic in a step
GANS = {
    "mm": ("minimax", "none", "batch", 5e-5, 0.0, 1),
    "ns": ("non_saturating", "none", "batch", 5e-5, 0.0, 1),
    "ls": ("least_squares", "none", "batch", 2e-4, 0.5, 1),
    "wgan": ("wasserstein", "clip", "batch", 5e-5, 0.5, 5),
    "wgan_gp": ("wasserstein", "wgan_gp", "none", 1e-4, 0.5, 5),
    "dragan": ("non_saturating", "dragan", "none", 1e-4, 0.5, 1),  # a penalty excludes batch norm
    "began": (None, None, None, 1e-4, 0.5, 5),
}
CRITICS_UPDATES = {"mnist": 15_625, "fashion_mnist": 15_625, "cifar10": 78_125, "celeba": 101_250}


@pytest.mark.parametrize("dataset", CRITICS_UPDATES)
@pytest.mark.parametrize("name", GANS)
def test_a_gan_has_the_defaults_of_the_released_code(name, dataset):
    values = parse(f"--flagfile={ROOT}/flagfiles/{name}_gan_{dataset}.flags").values()
    loss, penalty, norm, rate, beta_1, updates = GANS[name]
    shared = {
        "learning_rate": rate, "momentum": beta_1, "beta_2": 0.0, "optimizer": "adam", "critic_updates": updates,
        "batch_size": 64, "latent_dim": 64, "noise": "uniform", "pixel_range": "unit", "network": "infogan_leaky",
        "filters": 0, "schedule": "constant", "weight_decay": 0.0,
    }  # fmt: skip
    if name == "began":
        shared |= {"method": "began", "diversity": 0.75, "balance_rate": 1e-3, "clip_balance": False}
    else:
        shared |= {"method": "gan", "loss": loss, "penalty": penalty, "critic_norm": norm}
        shared |= {"weight_penalty": 10.0, "clip": 0.01}
    assert {key: values[key] for key in shared} == shared
    # one step of ours is one update of the generator
    assert values["steps"] * updates == CRITICS_UPDATES[dataset]
    assert values["crop"] == (160 if dataset == "celeba" else 0)


@pytest.mark.parametrize("stem", ["cifar10", "resnet_cifar10", "celeba", "resnet_celeba"])
def test_sn_gan_has_the_settings_of_its_paper(stem):
    values = parse(f"--flagfile={ROOT}/flagfiles/sn_gan_{stem}.flags").values()
    wanted = {
        "loss": "hinge", "critic_norm": "spectral", "penalty": "none", "critic_updates": 5, "noise": "normal",
        "latent_dim": 128, "learning_rate": 2e-4, "momentum": 0.0, "beta_2": 0.9, "schedule": "linear",
        "batch_size": 64, "batch_norm": "shared",
    }  # fmt: skip
    assert {key: values[key] for key in wanted} == wanted


# METHODS_2.md, section 8, typed by hand: of encoders that are critics
SOFT = {"critic_loss": "soft", "weight_kl": 1, "weight_rec": 1, "weight_neg": 256, "weight_made_rec": 1e-8}
INTRO = {"critic_loss": "hinge", "hinge_margin": 120, "weight_rec": 0.05, "weight_neg": 0.5, "epochs": 25}
AGE = {"weight_x": 10, "momentum": 0.5, "batch_size": 64}
CRITICS = {
    "soft_intro_vae_mnist": SOFT | {"latent_dim": 32, "batch_size": 128, "epochs": 200, "learning_rate": 2e-4},
    "soft_intro_vae_fashion_mnist": SOFT | {"latent_dim": 32, "batch_size": 128, "epochs": 200, "learning_rate": 2e-4},
    "soft_intro_vae_cifar10": SOFT | {"latent_dim": 128, "batch_size": 32, "epochs": 250, "learning_rate": 2e-4},
    "intro_vae_celeba": INTRO | {"learning_rate": 2e-4},
    "intro_vae_cifar10": INTRO | {"learning_rate": 2e-4},
    "age_celeba": AGE | {"latent_dim": 64, "epochs": 5, "decoder_updates": 3, "weight_z": 1000 / 64},
    "age_cifar10": AGE | {
        "latent_dim": 128, "epochs": 150, "decoder_updates": 2, "weight_z": 1000 / 128, "schedule": "halving",
        "halve_every": 40,
    },
    "alae_mnist": {
        "latent_dim": 50, "filters": 1024, "r1_gamma": 10, "mapping_depth": 5, "critic_depth": 2, "momentum": 0,
        "beta_2": 0.99, "learning_rate": 2e-3, "critic_learning_rate": 2e-4, "mapping_learning_rate": 2e-4,
        "batch_size": 128, "epochs": 600,
    },
}  # fmt: skip


@pytest.mark.parametrize("stem", CRITICS)
def test_an_encoder_that_is_a_critic_has_the_settings_of_the_released_code(stem):
    values = parse(f"--flagfile={ROOT}/flagfiles/{stem}.flags").values()
    assert {name: values[name] for name in CRITICS[stem]} == CRITICS[stem]
    if stem == "alae_mnist":
        assert values["ema"] ** (10_000 / values["batch_size"]) == pytest.approx(0.5, rel=1e-3)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_no_placeholder_is_left(path):
    found = [name for name in PLACEHOLDER.findall(path.read_text()) if not NAMES_IN_CAPITALS.fullmatch(name)]
    assert not found


def test_every_image_of_the_readme_exists():
    links = re.findall(r"!\[[^\]]*\]\(([^)\s]+)|<img[^>]*src=\"([^\"]+)", (ROOT / "README.md").read_text())
    paths = [ROOT / (markdown or html) for markdown, html in links]
    assert paths
    assert [path for path in paths if not path.is_file()] == []
