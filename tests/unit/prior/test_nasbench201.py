"""π on NAS-Bench-201, against sums over all its architectures."""

import pytest
import torch

from parsec.errors import PriorError
from parsec.prior.distribution import ArchitectureBatch, Prior
from parsec.prior.parquet import read_prior, write_prior
from parsec.space.nasbench201 import architectures
from parsec.space.spaces import NASBENCH201


@pytest.fixture
def prior():
    noise = torch.randn(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Prior("separate", noise, NASBENCH201)


def test_distribution_matches_full_enumeration(prior):
    everything = torch.tensor([NASBENCH201.encode(arch, "separate") for arch in architectures()])
    log_p = prior.log_prob(everything).detach()
    assert float(log_p.exp().sum()) == pytest.approx(1.0, abs=1e-12)
    assert prior.entropy() == pytest.approx(float(-(log_p.exp() * log_p).sum()), abs=1e-10)
    assert prior.mode() == architectures()[int(log_p.argmax())]
    operations = everything[:, :, None] == torch.arange(5)
    torch.testing.assert_close(prior.marginals().detach(), (log_p.exp()[:, None, None] * operations).sum(0))


def test_children_decode_the_sampled_indices(prior):
    chosen = prior.sample(20, torch.Generator().manual_seed(0))
    children = prior.children(chosen)
    assert children.genotypes == [NASBENCH201.decode(row, "separate") for row in chosen.tolist()]
    assert torch.equal(ArchitectureBatch.of(children.genotypes, space=NASBENCH201).table, children.table)
    assert children[3:7].genotypes == ArchitectureBatch(children.table[3:7], NASBENCH201).genotypes


def test_prior_file_loads_only_own_space(prior, tmp_path):
    path = tmp_path / "pi.parquet"
    write_prior(path, prior, {"space": "nasbench201"})
    again = read_prior(path, "separate", "nasbench201")
    assert torch.equal(again.logits, prior.logits)
    assert again.mode() == prior.to("cpu").mode() == prior.mode()
    with pytest.raises(PriorError, match="space 'nasbench201', but 'darts' is needed"):
        read_prior(path, "separate", "darts")
