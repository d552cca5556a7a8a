"""The rows of the papers' tables and figures, and of what we measure beside them, as data."""

import dataclasses
import fnmatch
import itertools
import pathlib
from collections.abc import Sequence

from pga_tf.core import checks
from pga_tf.ledger import headers
from pga_tf.ledger.headers import Flagfile, Published

FOLDER = pathlib.Path("flagfiles")


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a table: a flagfile, what is asked for beside it, and what was published.

    Attributes:
      name: the flagfile's, and what sets the row apart from it.
      table: a key of `TABLES`. overrides: flags beside the flagfile's, texts by name.
      obstacle: why it cannot be trained anywhere; "" where it can.
    """

    name: str
    table: str
    flagfile: Flagfile
    published: Published | None
    overrides: dict[str, str] = dataclasses.field(default_factory=dict)
    obstacle: str = ""

    @property
    def values(self) -> dict[str, str]:
        """Texts of its flags by name."""
        return self.flagfile.values | self.overrides

    @property
    def dataset(self) -> str:
        """The data set in a word."""
        return self.flagfile.dataset


@dataclasses.dataclass(frozen=True)
class Other:
    """A row that is a flagfile with other flags, or that none can be made of."""

    name: str
    flagfile: str
    published: Published
    overrides: dict[str, str] = dataclasses.field(default_factory=dict)
    obstacle: str = ""


@dataclasses.dataclass(frozen=True)
class Table:
    """`told`: what it is, in words. `rows`: names of flagfiles, patterns of them, and `Other` rows."""

    told: str
    rows: Sequence[str | Other]


def _each(methods, datasets):
    return [f"{method}_{dataset}" for dataset, method in itertools.product(datasets, methods)]


def _one_gaussian(scores):
    """Rows of Ghosh et al. that Zhang et al. cite: the same trainings as their mixtures, with one Gaussian."""
    one = {"prior": "mixture", "components": "1"}
    return [Other(f"{name}_one_gaussian", name, Published(value), one) for name, value in scores.items()]


def _tuned(scores):
    told = "the latent size of this row is not printed; --sweep=latent_dim=... on the row without _tuned looks for it"
    return [
        Other(
            f"two_stage_vae_{name}_tuned", f"two_stage_vae_{name}", Published(value, error, "deviation", 10), {}, told
        )
        for name, (value, error) in scores.items()
    ]


_THREE = ("mnist", "cifar10", "celeba")
_GANS = ("mm_gan", "ns_gan", "ls_gan", "wgan_gan", "wgan_gp_gan", "dragan_gan", "began_gan")
_LIKELIHOODS = ("vae_cross_entropy", "vae_fixed_gamma", "vae_learned_gamma")
_RAE = {
    "rae_l2_mnist": 22.22, "rae_l2_cifar10": 80.80, "rae_l2_celeba": 51.13,
    "rae_sn_mnist": 19.67, "rae_sn_cifar10": 84.25, "rae_sn_celeba": 44.74,
}  # fmt: skip

# A flagfile stands in the first of these that has it.
TABLES = {
    "pga_table1": Table(
        "table 1 of Zhang et al., ICML 2020",
        [
            *_each(("vae", "lpga", "vpga", "lvpga"), _THREE),
            *_each(("vae_cited", "vae_cv", "wae_cited"), _THREE),
            *_one_gaussian(_RAE),
        ],
    ),
    "pga_figure4": Table("figure 4 of Zhang et al., ICML 2020: a = b = 0", ["lpga_*_ablation"]),
    "pga_appendix": Table(
        "appendix C of Zhang et al., ICML 2020", ["lpga_cifar10_resnet", "lpga_celeba140", "vae_celeba140"]
    ),
    "pga_ablations": Table(
        "what Zhang et al. argue against, trained",
        ["lpga_huber_*", "lpga_l1_*", "lpga_lr_into_*", "lpga_nll_into_*", "lpga_no_*", "vpga_fixed_*"],
    ),
    "two_stage_table1": Table(
        "table 1 of Dai and Wipf, ICLR 2019",
        [
            *_each(_LIKELIHOODS, ("mnist", "fashion_mnist", "cifar10", "celeba128")),
            *_each(("two_stage_vae",), ("mnist", "fashion_mnist", "cifar10", "celeba")),
            *_tuned({"mnist": (11.2, 0.5), "fashion_mnist": (21.3, 0.4)}),
            *_tuned({"cifar10": (68.0, 0.8), "celeba": (23.8, 0.5)}),
        ],
    ),
    "two_stage_figures": Table(
        "footnotes 5 and 6, section 5 and the supplement of Dai and Wipf, ICLR 2019",
        ["two_stage_ae_*", "two_stage_joint_*", "two_stage_vae_*_resnet*", "two_stage_vae_*_wae*", "vae_wae_celeba",
         "wae_mmd_celeba", "wae_gan_celeba"],
    ),
    "prior_free_table1": Table(
        "table 1 of Geng et al., 2020",
        [*_each(("vae_sngan", "aae", "intro_vae", "age", "prior_free"), ("celeba",)), "wae_mmd_celeba_sngan"],
    ),
    "prior_free_table2": Table(
        "table 2 of Geng et al., 2020",
        _each(("vae_resnet", "aae", "wae_mmd", "intro_vae", "age", "prior_free"), ("cifar10",)),
    ),
    "prior_free_figures": Table(
        "figures 3 to 6 of Geng et al., 2020",
        ["prior_free_mnist*", *_each(("vae", "aae", "alae", "prior_free", "lpga"), ("swiss_roll",)), "acai_mnist"],
    ),
    "gans": Table(
        "GANs of table 1 of Dai and Wipf, ICLR 2019, and SN-GAN",
        [*(f"{name}_*" for name in _GANS), "sn_gan_*", "wgan_gp_*"],
    ),
    "matched_pga": Table("what the paper names as future work", ["mmd_pga_*", "adversarial_pga_*"]),
    "fast": Table("rows of the papers in fewer steps, with settings of ours", ["*_fast"]),
    "rae": Table("the released code of Ghosh et al., ICLR 2020", ["rae_*", "ae_cited_*"]),
    "zoo": Table("models that come with the package", ["zoo_*"]),
    "others": Table("autoencoders of other papers, and what is ours", ["*"]),
}  # fmt: skip


def flagfile_paths(folder: pathlib.Path = FOLDER) -> dict[str, pathlib.Path]:
    """Path of each flagfile by name. Raises `InputError` where there is none."""
    found = {path.stem: path for path in sorted(folder.glob("*.flags"))}
    if not found:
        checks.refuse(
            f"{folder}/",
            expected="the flagfiles of the repository",
            received="none",
            remedy="run this in a checkout of the repository, whose tables these are",
        )
    return found


def rows(folder: pathlib.Path = FOLDER) -> list[Row]:
    """Every row of every table, in order. Raises `InputError` for a flagfile that cannot be read or is missing."""
    read = {name: headers.read(path) for name, path in flagfile_paths(folder).items()}
    found, taken = [], set()
    for table, entry in TABLES.items():
        for asked in entry.rows:
            if isinstance(asked, Other):
                flagfile = _known(read, asked.flagfile)
                found.append(Row(asked.name, table, flagfile, asked.published, asked.overrides, asked.obstacle))
                continue
            names = [name for name in read if fnmatch.fnmatchcase(name, asked)] or [_known(read, asked).name]
            for name in names:
                if name not in taken:
                    taken.add(name)
                    found.append(Row(name, table, read[name], read[name].published))
    return found


def _known(read, name):
    checks.require_member("Flagfile", name, read)
    return read[name]


def chosen(every: Sequence[Row], table: str = "", dataset: str = "", only: Sequence[str] = ()) -> list[Row]:
    """The rows that are asked for; "" and () ask for all. Raises `InputError` for a name that none of them has."""
    if table:
        checks.require_member("--table", table, TABLES)
        every = [row for row in every if row.table == table]
    if dataset:
        checks.require_member("--dataset", dataset, sorted({row.dataset for row in every}))
        every = [row for row in every if row.dataset == dataset]
    for name in only:
        checks.require_member("--only", name, [row.name for row in every])
    return [row for row in every if not only or row.name in only]
