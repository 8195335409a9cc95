# SPDX-License-Identifier: Apache-2.0
"""Attention blocks of S2M2: row-wise or global, within one view or between the two views.

Tokens are (batch, tokens, channels). Left views fill the first half of the batch and right views the second.
Blocks take and give maps (images, channels, rows, columns) and turn them into tokens inside. Images and rows become one
batch dimension before any projection: with two, torch.compile on the CPU has produced wrong numbers.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vizion3d.stereo.matchers.s2m2.position import mean_position, position_table


def rows_to_tokens(z: Tensor) -> Tensor:
    """(n, d, r, c) to (n·r, c, d): each image row is a sequence of its own."""
    return z.permute(0, 2, 3, 1).flatten(0, 1)


def image_to_tokens(z: Tensor) -> Tensor:
    """(n, d, r, c) to (n, r·c, d): all positions of an image are one sequence, row-major."""
    return z.flatten(2).transpose(1, 2)


def tokens_to_map(tokens: Tensor, like: Tensor) -> Tensor:
    """Undo either layout; the result has the shape of `like`, (n, d, r, c)."""
    n, d, rows, columns = like.shape
    return tokens.reshape(n, rows, columns, d).permute(0, 3, 1, 2)


def normalise(tokens: Tensor) -> Tensor:
    """Layer normalisation over the channels, without learned scale and shift."""
    return F.layer_norm(tokens, tokens.shape[-1:])


def other_view(tokens: Tensor) -> Tensor:
    """Exchange the left and the right half of the batch."""
    left, right = tokens.chunk(2)
    return torch.cat((right, left))


class MultiHead(nn.Module):
    """The projections into heads and out of them that both kinds of attention have."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(channels, channels, bias=False)
        self.k = nn.Linear(channels, channels, bias=False)
        self.v = nn.Linear(channels, channels)
        self.proj = nn.Linear(channels, channels, bias=False)

    def project(self, queries: Tensor, keys: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of every head, each (batch, heads, tokens, channels/heads)."""
        projected = self.q(queries), self.k(keys), self.v(keys)
        q, k, v = (tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2) for tokens in projected)
        return q, k, v

    def merge(self, attended: Tensor) -> Tensor:
        """What the heads (batch, heads, tokens, channels/heads) found, as (batch, tokens, channels)."""
        return self.proj(attended.transpose(1, 2).flatten(2))


class Attention(MultiHead):
    """Multi-head attention."""

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Let (batch, tokens, channels) attend to tokens of the same shape."""
        return self.merge(F.scaled_dot_product_attention(*self.project(queries, keys)))


class PositionalAttention(MultiHead):
    """Self-attention that also passes on where, relative to the query, it looked."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__(channels, heads)
        self.pe_proj = nn.Linear(32, channels // heads)

    def forward(self, tokens: Tensor, row_table: Tensor, column_table: Tensor) -> Tensor:
        """Let all positions of an r x c image attend to each other.

        Args:
            tokens: (n, r·c, channels).
            row_table: `position_table(r)`.
            column_table: `position_table(c)`.
        """
        q, k, v = self.project(tokens, tokens)
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
        weights = scores.softmax(-1, dtype=torch.float32)
        position = mean_position(weights, row_table, column_table)
        return self.merge(weights.to(v.dtype) @ v + self.pe_proj(position.to(v.dtype)))


class SelfAttention(nn.Module):
    """Pre-norm attention of a sequence to itself, with a shortcut."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.attn = Attention(channels, heads)

    def forward(self, tokens: Tensor) -> Tensor:
        normed = normalise(tokens)
        return tokens + self.attn(normed, normed)


class PositionalSelfAttention(nn.Module):
    """`SelfAttention` with relative positions."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.attn = PositionalAttention(channels, heads)

    def forward(self, tokens: Tensor, row_table: Tensor, column_table: Tensor) -> Tensor:
        return tokens + self.attn(normalise(tokens), row_table, column_table)


class CrossAttention(nn.Module):
    """Pre-norm attention of each view to the other, both directions at once, with a shortcut."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.attn = Attention(channels, heads)

    def forward(self, tokens: Tensor) -> Tensor:
        normed = normalise(tokens)
        return tokens + self.attn(normed, other_view(normed))


class FeedForward(nn.Module):
    """Pre-norm two-layer perceptron on each token, with a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.ffn = nn.Sequential(nn.Linear(channels, channels), nn.GELU(), nn.Linear(channels, channels))

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens + self.ffn(normalise(tokens))


class GlobalBlock(nn.Module):
    """Self-attention over a whole image."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.self_attn = SelfAttention(channels, heads)
        self.ffn = FeedForward(channels)

    def forward(self, z: Tensor) -> Tensor:
        return tokens_to_map(self.ffn(self.self_attn(image_to_tokens(z))), z)


class PositionalGlobalBlock(nn.Module):
    """Self-attention over a whole image with relative positions."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.self_attn = PositionalSelfAttention(channels, heads)
        self.ffn = FeedForward(channels)

    def forward(self, z: Tensor, row_table: Tensor, column_table: Tensor) -> Tensor:
        return tokens_to_map(self.ffn(self.self_attn(image_to_tokens(z), row_table, column_table)), z)


class PositionalGlobalBlocks(nn.Sequential):
    """A chain of `PositionalGlobalBlock` that share one set of position tables."""

    def forward(self, z: Tensor) -> Tensor:
        row_table, column_table = (position_table(length, z.device) for length in z.shape[2:])
        for block in self:
            z = block(z, row_table, column_table)
        return z


class CrossBlock(nn.Module):
    """Attention to the other view, then to the own one; the two children choose what a sequence is."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.cross_attn = CrossAttention(channels, heads)
        self.ffn_c = FeedForward(channels)
        self.self_attn = SelfAttention(channels, heads)
        self.ffn = FeedForward(channels)

    def attend(self, tokens: Tensor) -> Tensor:
        return self.ffn(self.self_attn(self.ffn_c(self.cross_attn(tokens))))


class RowBlock(CrossBlock):
    """Each image row attends to the same row of the other view and to itself."""

    def forward(self, z: Tensor) -> Tensor:
        return tokens_to_map(self.attend(rows_to_tokens(z)), z)


class GlobalCrossBlock(CrossBlock):
    """Each position attends to the whole other view and to its own."""

    def forward(self, z: Tensor) -> Tensor:
        return tokens_to_map(self.attend(image_to_tokens(z)), z)
