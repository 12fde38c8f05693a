"""Nets of early fusion against the models of transformers that they are made of, and by hand where there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers
from torch import Tensor
from transformers import AutoConfig, AutoModel

from algorithms.losses.pairs import pairs_of
from datasets.batch import Batch
from nets.build import build_net, find
from nets.early import additive
from nets.encoders import small_text_config
from nets.options import NetOptions
from tests.algorithms.clusters import FIRST, make
from tests.algorithms.test_no_host_reads import Reads
from tests.nets.tiny import CLASSES, LENGTH, SIZE, VECTOR, VOCABULARY, pick, tiny_net, tiny_posts
from training.command_line import parse
from training.defaults import resolve

EARLY = ["vilt", "mmbt", "lxmert"]
MINILM = Path(__file__).parents[2].parent / "shared" / "weights" / "minilm-l6"
AUXILIARY = {"itc_loss_ratio": 0.1, "itm_loss_ratio": 0.1}
close = {"atol": 1e-5, "rtol": 1e-5}


def from_folder(name: str, folder: Path, image_size: int = 0, **changes):
    """A net with the weights that `folder` holds, and the whole model of transformers with the same."""
    torch.manual_seed(1)
    config = find(name).small_config(VOCABULARY, LENGTH)
    AutoModel.from_config(config).save_pretrained(folder)
    settings = {"image_net": "test_efficientnet", "image_weights": "none", **changes}
    options = NetOptions(net=name, text_weights=str(folder), dropout=0.0, **settings)
    net, _ = build_net(options, CLASSES, image_size, VOCABULARY, LENGTH)
    return net.eval(), AutoModel.from_pretrained(folder).eval()


@torch.no_grad()
@pytest.mark.parametrize("size", [64, 32])
def test_vilt_is_that_of_transformers_also_where_positions_are_resized(size, tmp_path):
    net, theirs = from_folder("vilt", tmp_path, size)
    batch = tiny_posts(both=True)
    batch = replace(batch, image=torch.randn(len(batch), 3, size, size))
    answer = net(batch)
    whole = torch.ones(len(batch), size, size, dtype=torch.long)
    states = theirs(batch.text, batch.text_mask.long(), pixel_values=batch.image, pixel_mask=whole).last_hidden_state
    torch.testing.assert_close(answer.features, states[:, 0], **close)
    torch.testing.assert_close(answer.parts["image"], states[:, batch.text.shape[1]], **close)
    torch.testing.assert_close(answer.logits, net.classify[1](states[:, 0]), **close)


@torch.no_grad()
def test_lxmert_is_that_of_transformers(tmp_path):
    net, theirs = from_folder("lxmert", tmp_path)
    batch = tiny_posts(both=True, net="lxmert")
    answer = net(batch)
    _, regions, there = net.encoders.layouts["image"].unpack(batch.image)
    found = theirs(
        batch.text, regions[..., :VECTOR], regions[..., VECTOR:], batch.text_mask.long(), there.long()
    )  # fmt: skip
    torch.testing.assert_close(answer.features, found.language_output[:, 0], **close)
    for row in range(len(batch)):
        words, places = found.language_output[row][batch.text_mask[row]], found.vision_output[row][there[row]]
        torch.testing.assert_close(answer.parts["text"][row], words.amax(dim=0), **close)
        torch.testing.assert_close(answer.parts["image"][row], places.amax(dim=0), **close)


@torch.no_grad()
def test_lxmert_answers_for_a_post_without_regions_by_its_text_alone(tmp_path):
    net, _ = from_folder("lxmert", tmp_path)
    batch = tiny_posts(net="lxmert")
    before = net(batch)
    for weight in net.transformer.visn_fc.parameters():
        weight.add_(torch.randn(weight.shape))
    after = net(batch)
    alone = ~batch.has_image
    assert alone.any() and torch.equal(before.logits[alone], after.logits[alone])
    assert torch.equal(before.parts["text"][alone], after.parts["text"][alone])
    assert (before.logits[~alone] != after.logits[~alone]).all(dim=1).all()


@torch.no_grad()
@pytest.mark.parametrize("image_tokens", [1, 3, 4, 6])
def test_mmbt_puts_the_parts_of_an_image_before_the_words(image_tokens, tmp_path):
    net, theirs = from_folder("mmbt", tmp_path, SIZE, image_tokens=image_tokens)
    batch = pick(tiny_posts(both=True), [0])
    text = batch.text[:, : int(batch.text_mask.sum())]
    answer = net(batch)
    _, parts, _ = net.encoders.layouts["image"].unpack(net.encoders.live["image"](batch.image))
    assert parts.shape[1] == image_tokens
    frame = theirs.embeddings.word_embeddings(torch.tensor([[2], [3]]))  # the tokens that texts begin and end with
    first = torch.cat([frame[:1], net.project(parts), frame[1:]], dim=1)
    segments = [torch.full((1, count), value) for value, count in enumerate([first.shape[1], text.shape[1] - 1])]
    embedded = [
        theirs.embeddings(inputs_embeds=first, token_type_ids=segments[0]),
        theirs.embeddings(input_ids=text[:, 1:], token_type_ids=segments[1]),
    ]
    states = theirs.encoder(torch.cat(embedded, dim=1)).last_hidden_state
    torch.testing.assert_close(answer.features, theirs.pooler(states), **close)
    torch.testing.assert_close(answer.parts["text"], states[:, first.shape[1] :].mean(dim=1), **close)
    torch.testing.assert_close(answer.parts["image"], states[:, 1 : 1 + image_tokens].mean(dim=1), **close)


@torch.no_grad()
def test_what_a_post_lacks_is_as_if_it_had_no_tokens():
    net = tiny_net("vilt")[0].eval()
    batch = tiny_posts(both=True)
    nothing = torch.zeros(len(batch), dtype=torch.bool)
    _, words, mask = net.encoders.layouts["text"].unpack(net.encoders(batch)["text"])
    text_alone = net.transformer(words + net.modality.weight[0], additive(mask)).last_hidden_state
    answer = net(replace(batch, has_image=nothing))
    torch.testing.assert_close(answer.features, net.norm(text_alone[:, 0]), **close)
    _, patches, _ = net.encoders.layouts["image"].unpack(net.encoders(batch)["image"])
    start = (net.start + net.modality.weight[0]).expand(len(batch), 1, -1)
    image_alone = net.transformer(torch.cat([start, patches + net.modality.weight[1]], dim=1)).last_hidden_state
    answer = net(replace(batch, has_text=nothing))
    torch.testing.assert_close(answer.features, net.norm(image_alone[:, 0]), **close)


@torch.no_grad()
@pytest.mark.parametrize("name", EARLY)
def test_a_post_without_text_starts_as_all_texts_do(name):
    net = tiny_net(name)[0].eval()
    live = net.encoders.live["text"]
    torch.testing.assert_close(net.start, live.embed(torch.tensor([[2]]))[0, 0])
    assert live.longest == net.longest_text == net.encoders.layouts["text"].count == LENGTH
    row = live(torch.full((1, 60), 9), torch.ones(1, 60).bool())
    assert live.layout.unpack(row).mask.shape == (1, LENGTH)  # what is longer is cut


def test_vilt_reads_forty_tokens_at_most():
    assert find("vilt").small_config(VOCABULARY, 128).max_position_embeddings == 40
    assert AutoConfig.for_model("vilt").max_position_embeddings == 40


def views(net: str, count: int, start: int, labelled: bool) -> dict[str, Batch]:
    batch = tiny_posts(start, count, net=net)
    label = batch.label if labelled else torch.full_like(batch.label, -1)
    weak = replace(batch, index=torch.arange(start, start + count), label=label)
    noisy = weak.image + 0.1 * torch.randn(weak.image.shape) * weak.image.ne(0)
    return {"weak": weak, "weak_1": weak, "strong": replace(weak, image=noisy), "strong_1": replace(weak, image=noisy)}


@pytest.mark.parametrize("algorithm", ["supervised", "fixmatch", "mixmatch", "remixmatch", "vat", "mean_teacher"])
@pytest.mark.parametrize("name", EARLY)
def test_algorithms_and_auxiliary_losses_train_it_and_read_nothing_on_the_host(name, algorithm):
    net = tiny_net(name)[0].train()
    made = make(algorithm, net, **AUXILIARY)
    kind = type(made)
    known, others = views(name, 4, 0, True), views(name, 6, 100, False)
    with Reads() as reads:
        losses = made({view: known[view] for view in kind.labelled_views},
                      {view: others[view] for view in kind.unlabelled_views}, FIRST)  # fmt: skip
        losses.total.backward()
    assert reads.lines == []
    assert losses.total.isfinite() and losses.parts["itc_loss"] > 0 and losses.parts["itm_loss"] > 0
    gradients = {key: value.grad for key, value in made.named_parameters() if value.grad is not None}
    assert all(value.isfinite().all() for value in gradients.values())
    assert {"net.start", "auxiliary.contrast.log_scale", "auxiliary.matching.matches.weight"} <= gradients.keys()
    assert "auxiliary.contrast.project.text.weight" not in made.state_dict()  # compared as it is
    assert any(key.startswith("net.transformer") and value.any() for key, value in gradients.items())


@torch.no_grad()
@pytest.mark.parametrize("name", EARLY)
def test_low_precision_changes_little(name):
    net = tiny_net(name)[0].eval()
    batch = tiny_posts(net=name)
    with torch.autocast("cpu", torch.bfloat16):
        low = net(batch).float()
    torch.testing.assert_close(low.logits, net(batch).logits, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("name", EARLY)
def test_contrast_compares_states_and_teaches_what_read_the_text_and_what_read_the_image(name):
    net = tiny_net(name)[0]
    compared = net.contrasted(net(tiny_posts(net=name)))
    assert {value.shape for value in compared.values()} == {(6, net.dim)}
    words = net.encoders.live["text"].embed
    for value in compared.values():
        net.zero_grad()
        value.square().sum().backward(retain_graph=True)
        assert any(weight.grad is not None and weight.grad.any() for weight in words.parameters())


@torch.no_grad()
def test_rows_of_batches_of_different_lengths_come_together():
    net = tiny_net("mmbt")[0].eval()
    short, long = tiny_posts(1, both=True), tiny_posts(2, both=True)
    short = replace(short, text=short.text[:, :3], text_mask=short.text_mask[:, :3])
    answers = [(batch, net(batch)) for batch in (short, long)]
    pairs = pairs_of(net, answers)
    assert len({answer.encoded["text"].shape[1] for _, answer in answers}) == 2
    again = net.fuse(pairs.features, pairs.present).logits
    torch.testing.assert_close(again, torch.cat([answer.logits for _, answer in answers]), **close)


@pytest.mark.parametrize("name", EARLY)
def test_all_that_was_loaded_learns_at_the_rate_of_encoders(name):
    net = tiny_net(name)[0]
    inside = {id(value) for module in net.loaded().values() for value in module.parameters()}
    outside = {key.split(".")[0] for key, value in net.named_parameters() if id(value) not in inside}
    assert outside == {"start", "classify"} | ({"project", "end"} if name == "mmbt" else set())
    assert set(net.loaded()) == ({"text", "image"} if name == "mmbt" else {"text"})


def roberta(folder: Path) -> Path:
    torch.manual_seed(2)
    settings = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = AutoConfig.for_model("roberta", vocab_size=VOCABULARY, max_position_embeddings=30, type_vocab_size=1,
                                  pad_token_id=1, **settings)  # fmt: skip
    AutoModel.from_config(config).save_pretrained(folder)
    return folder


@torch.no_grad()
def test_mmbt_counts_positions_as_roberta_does_and_gives_it_a_second_segment(tmp_path):
    options = NetOptions(net="mmbt", image_net="small", image_weights="none", text_weights=str(roberta(tmp_path)))
    net = build_net(options, CLASSES, SIZE, 0, 0)[0].eval()
    table = net.transformer.embeddings.token_type_embeddings.weight
    assert net.longest_text == 28 and table.shape[0] == 2 and torch.equal(table[0], table[1])
    seen: list[Tensor] = []
    net.transformer.embeddings.register_forward_pre_hook(
        lambda _, given, named: seen.append(named["position_ids"]), with_kwargs=True
    )
    assert net(tiny_posts()).logits.isfinite().all()
    assert seen[0].tolist() == [[2, 3, 4, 5, 6, *range(2, 13)]]


@pytest.mark.skipif(not MINILM.is_dir(), reason=f"needs {MINILM}")
@torch.no_grad()
def test_mmbt_reads_with_minilm():
    options = NetOptions(net="mmbt", image_net="small", image_weights="none", text_weights=str(MINILM))
    net = build_net(options, CLASSES, SIZE, 0, 0, frame=(101, 102))[0].eval()
    words = AutoModel.from_pretrained(MINILM, dtype=torch.float32).embeddings.word_embeddings.weight
    assert torch.equal(net.start, words[101]) and torch.equal(net.end, words[102])
    assert net(tiny_posts()).logits.shape == (6, CLASSES) and net.dim == 384


@torch.no_grad()
@pytest.mark.parametrize(("name", "heads"), [("vilt", "ViltForMaskedLM"), ("lxmert", "LxmertForPreTraining")])
def test_weights_that_were_saved_with_the_heads_of_pretraining_are_read(name, heads, tmp_path):
    config = find(name).small_config(VOCABULARY, LENGTH)
    if name == "lxmert":  # its heads for objects and answers are large
        config.num_object_labels = config.num_attr_labels = config.num_qa_labels = 2
    whole = getattr(transformers, heads)(config)
    whole.save_pretrained(tmp_path)
    net, _ = build_net(NetOptions(net=name, text_weights=str(tmp_path)), CLASSES, 0, 0, 0)
    theirs = getattr(whole, name).encoder.state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in net.transformer.state_dict().items())


def test_weights_of_another_kind_of_model_are_refused(tmp_path):
    AutoModel.from_config(small_text_config(50, 24)).save_pretrained(tmp_path)
    for name in ("vilt", "lxmert"):
        with pytest.raises(
            ValueError, match=rf"--net {name} is made of a model of the kind {name}; .* of the kind bert"
        ):
            build_net(NetOptions(net=name, text_weights=str(tmp_path)), CLASSES, SIZE, 0, 0)
    for name in EARLY:
        options = NetOptions(net=name, image_net="small", image_weights="none", text_net="fasttext")
        with pytest.raises(ValueError, match=rf"--net {name} is a transformers net: --text_net fasttext is none"):
            build_net(options, CLASSES, SIZE, VOCABULARY, LENGTH)
    with pytest.raises(ValueError, match=r"--image_size 4: ViLT divides an image into patches of 8 pixels"):
        build_net(NetOptions(net="vilt", text_net="small", text_weights="none"), CLASSES, 4, VOCABULARY, LENGTH)


@pytest.mark.parametrize(("words", "sentence"), [
    ("--net vilt --freeze image", "--freeze image: --net vilt has no encoder of the image by itself"),
    ("--net mmbt --freeze image,text", "--freeze image,text: --net mmbt has no encoder of the text by itself"),
    ("--fusion vilt --image_net resnet18", "--image_net resnet18 is of no use to --net vilt: leave it out"),
    ("--fusion mmbt --feature_dim 64", "--feature_dim 64 is of no use to --net mmbt: leave it out"),
    ("--net lxmert", "--net lxmert reads regions of images that a detector has found: give --region_features FOLDER"),
    ("--net vilt --region_features x", "--region_features x is of no use to --net vilt: leave it out"),
])  # fmt: skip
def test_what_cannot_be_is_said(words, sentence):
    with pytest.raises(ValueError, match=sentence):
        resolve(parse([*words.split(), "--algorithm", "supervised"]))


def test_defaults():
    for name, source in (
        ("vilt", "dandelin/vilt-b32-mlm"),
        ("lxmert", "unc-nlp/lxmert-base-uncased"),
        ("mmbt", "bert"),
    ):
        words = [
            "--algorithm",
            "supervised",
            "--fusion",
            name,
            *(["--region_features", "x"] if name == "lxmert" else []),
        ]
        world, real = resolve(parse(words)), resolve(parse([*words, "--data_dir", "posts"]))
        assert (world.net.text_net, world.net.text_weights) == ("small", "none")
        assert (real.net.text_net, real.net.text_weights) == (source, "")
        assert resolve(real) == real  # as for a run that is resumed
