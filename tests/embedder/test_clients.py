"""Official clients, unmodified, against a real server process."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import openai
import pytest
from huggingface_hub import InferenceClient

from tests.embedder import tiny
from tests.embedder.conftest import Served


@pytest.fixture
def client(server: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def test_openais_client_embeds_by_its_default_of_base64(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="tiny", input=["the cat", "dog"])
    assert [len(item.embedding) for item in answer.data] == [tiny.HIDDEN, tiny.HIDDEN]
    assert answer.usage.prompt_tokens == 7


def test_openais_client_embeds_as_floats_alike(client: openai.OpenAI) -> None:
    coded = client.embeddings.create(model="tiny", input="dog").data[0].embedding
    plain = client.embeddings.create(model="tiny", input="dog", encoding_format="float").data[0].embedding
    assert np.allclose(coded, plain, atol=1e-6)


def test_the_call_of_mem0s_openai_embedder_is_answered(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(input=["dog"], model="tiny", dimensions=tiny.HIDDEN, encoding_format="float")
    assert len(answer.data[0].embedding) == tiny.HIDDEN


def test_openais_client_lists_the_model(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tiny"]


def test_openais_client_retrieves_the_model(client: openai.OpenAI) -> None:
    assert client.models.retrieve("tiny").id == "tiny"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-9")


def test_openais_client_is_told_how_to_send_texts_instead_of_ids(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="check_embedding_ctx_length=False"):
        client.embeddings.create(model="tiny", input=[[15339, 1917]])


def test_openais_client_reads_our_errors(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.embeddings.create(model="gpt-9", input="dog")
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as empty:
        client.embeddings.create(model="tiny", input="")
    assert (empty.value.param, empty.value.type) == ("input", "invalid_request_error")


def test_hugging_faces_client_embeds(server: Served) -> None:
    vector = InferenceClient(model=server.url).feature_extraction("dog")
    assert vector.shape == (1, tiny.HIDDEN)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_hugging_faces_client_compares_sentences(server: Served) -> None:
    near, far = InferenceClient(model=server.url).sentence_similarity("the cat", other_sentences=["the cat", "dog"])
    assert near == pytest.approx(1, abs=1e-5)
    assert far < near
