"""How many bytes a training step takes, part by part, at the moment when most are in use.

Every coefficient below was read off a real step: tests/core/planner holds the measurements, docs/planner.md tells them.
Names: `width` is bytes per number calculated with (2 or 4), `tokens` those of one micro-batch, padding included.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.planner.model_shape import EAGER, ModelShape

FP32 = 4
BLOCK, CONSTANTS_BLOCK = 64, 256  # numbers that share a quantisation constant; constants that share theirs
CODE_BYTES, NESTED_CODE_BYTES = 16 * FP32, 256 * FP32 + FP32  # tables that every 4-bit matrix brings along
MIN_8BIT = 4096  # bitsandbytes keeps fp32 states for smaller tensors
LOSS_TOKENS, LOSS_COLUMNS = 4096, 32768  # the tile in which TRL calculates logits, whatever the vocabulary
CPU_TILE = 29  # bytes per logit that the tile's gradient takes where Triton does not run, beside the tile itself
FROZEN_HEAD_TOKENS = 128  # scored at a time by the trainer's own loss (core.training.frozen_head_loss)
MATH, EFFICIENT = "math", "efficient"
PACKED, EXACT, NF4 = "packed", "exact", "nf4"  # the engine's forms of weights (core.serving.engine.weights)
PIECE = 256  # tokens of a prompt that a compiled forward reads together (core.serving.engine.compiled_forward)
LARGE = 3 << 17  # numbers in an exact weight that the engine keeps in two layouts
FBGEMM_ROWS = 512  # inputs of an fp16 weight are padded to a multiple of this


@dataclass(frozen=True)
class MicroBatch:
    """One micro-batch of `rows` sequences of `length` tokens each, and how it is calculated.

    adapter: rank of LoRA on the linear layers named by `targets` (paths in a layer); 0 trains all weights instead.
    masked: an attention mask is needed (padding, packing, a window shorter than the sequence).
    flash: the device has attention that keeps no scores for grouped heads without a mask.
    """

    shape: ModelShape
    width: int
    rows: int
    length: int
    adapter: int
    targets: tuple[str, ...] = ()
    dropout: bool = False
    checkpointing: bool = True
    masked: bool = False
    flash: bool = True
    quantised: bool = True
    on_cpu: bool = False
    embeddings: bool = False
    """The token embeddings have an adapter, too."""
    frozen_head_loss: bool = False
    """The loss is that of core.training.frozen_head_loss."""

    @property
    def tokens(self) -> int:
        return self.rows * self.length

    @property
    def grouped(self) -> bool:
        return self.shape.kv_heads != self.shape.heads

    @property
    def attention(self) -> str:
        """`EAGER`, `MATH` or `EFFICIENT`. transformers asks for grouped heads where there is no mask, and without

        flash attention torch has only its `math` implementation for them, which keeps the whole score matrix.
        """
        if self.shape.family.attention == EAGER:
            return EAGER
        return MATH if self.grouped and not self.masked and not self.flash else EFFICIENT


def layer_bytes(step: MicroBatch) -> int:
    """What one layer keeps from its forward for its backward, in bytes."""
    per_token = _norms(step) + _attention(step) + _mlp(step) + _adapters(step)
    return step.tokens * per_token + _per_layer_constants(step)


def _norms(step: MicroBatch) -> int:
    """Per norm: its input in fp32 and one fp32 factor. Trained norms also keep what they multiply with their weight."""
    shape, family = step.shape, step.shape.family
    kept = family.norms * (FP32 * shape.hidden + FP32)
    if family.qk_norm:
        kept += FP32 * (shape.queries + shape.keys) + FP32 * (shape.heads + shape.kv_heads)
    if not step.adapter:
        width = FP32 if family.scaled_norm else step.width
        kept += family.norms * width * shape.hidden
        if family.qk_norm:
            kept += width * (shape.queries + shape.keys)
    return kept


def _attention(step: MicroBatch) -> int:
    """Queries, keys, values and result; the score matrix too where it is calculated as a whole."""
    shape, width = step.shape, step.width
    queries, keys = shape.queries, shape.keys
    scores = shape.heads * step.length
    if step.attention == EAGER:
        # q, and k and v repeated for each query head; the softmax in fp32 and, if that is not the width, in it again;
        # the tanh of the soft cap; the result, which the output projection's adapter takes.
        casts = width if width != FP32 else 0
        return width * 4 * queries + scores * (FP32 + width + casts)
    if step.attention == MATH:
        return FP32 * (3 * queries + scores) + width * queries
    fused = shape.family.fused
    repeated = step.masked and step.grouped
    key = queries if repeated else keys
    # A fused projection's values are a view, so that its whole output stays.
    value = queries if repeated else (queries + 2 * keys if fused else keys)
    result = 2 * queries if fused else queries
    mask = width * step.length if step.masked else 0  # every layer converts the mask anew
    return width * (queries + key + value + result) + FP32 * shape.heads + mask


def _mlp(step: MicroBatch) -> int:
    """Gate before and after its activation, and up. Their product only where the down projection is trained."""
    return step.width * 3 * step.shape.intermediate


def _adapters(step: MicroBatch) -> int:
    """Inputs of what is trained: an adapter's first matrix takes the linear layer's input, the second what is between.

    The output projection's input is the attention's result, which is kept anyway.
    """
    shape, width = step.shape, step.width
    linears = shape.linears
    if not step.adapter:
        return width * (2 * shape.hidden + shape.intermediate)
    between = width * step.adapter * len(step.targets)
    if step.dropout or (width != FP32 and not step.quantised):
        # Each adapter has an input of its own: dropped out, with a record of what was; or (PEFT's plain Linear) cast to
        # fp32 for the adapter's weights and back by autocast.
        record = (width if step.on_cpu else 1) if step.dropout else 0
        return between + sum((width + record) * linears[path][1] for path in step.targets)
    blocks = {path.partition(".")[0] for path in step.targets if _reads_norm(path)}
    down = shape.intermediate if "mlp.down_proj" in step.targets else 0
    return between + width * (len(blocks) * shape.hidden + down)


def _reads_norm(path: str) -> bool:
    return not path.endswith(("o_proj", "down_proj"))


def _per_layer_constants(step: MicroBatch) -> int:
    """Autocast's 16-bit copies of the adapter's fp32 weights; the (1 + weight) of Gemma's norms."""
    shape = step.shape
    scaled = 0
    if shape.family.scaled_norm:
        scaled = FP32 * (shape.family.norms * shape.hidden + (2 * shape.head_dim if shape.family.qk_norm else 0))
    copies = step.width * adapter_parameters(step) // shape.layers if step.width != FP32 else 0
    return scaled + copies


def adapter_parameters(step: MicroBatch) -> int:
    """All layers' LoRA matrices: rank times (in + out) for each linear layer that has one (Hu et al. 2021)."""
    return sum(adapter_matrices(step))


def adapter_matrices(step: MicroBatch) -> list[int]:
    """Elements of each of the adapter's matrices."""
    return [rows * columns for rows, columns in adapter_sides(step)]


@dataclass(frozen=True)
class PeakMemory:
    """Bytes at the moment when most are in use, beyond weights, gradients and states.

    stored: what all layers keep. working: the layer at work. unpacking: one 4-bit matrix in full. The others come at
    other moments, and count where they take more than the layer at work, by as much: logits, in the loss or an
    evaluation; copies, of the adapter in 16 bit, in the forward; step, in the optimiser's. gradients: those that are
    there then.
    """

    stored: int
    working: int
    unpacking: int
    logits: int
    copies: int = 0
    step: int = 0
    gradients: int = 0

    @property
    def floating(self) -> int:
        """What comes and goes, but for gradients."""
        return self.stored + self.working + self.unpacking + self.logits + self.copies + self.step


def peak_memory(
    step: MicroBatch,
    evaluation: MicroBatch | None = None,
    *,
    optimiser: int = 0,
    gradients: int = 0,
    accumulates: bool = True,
) -> PeakMemory:
    """Where the step's memory peaks: in the last layer's backward, in its forward, in the loss, in an evaluation batch,
    or in the optimiser's step, which takes `optimiser` bytes for as long as it lasts.

    gradients: bytes of all of them. accumulates: those of earlier micro-batches are there from the beginning; else a
    layer's come when what it kept goes.
    """
    layer = layer_bytes(step)
    stored = step.shape.layers * layer
    if step.checkpointing:
        stored = step.shape.layers * checkpoint_bytes(step) + mask_bytes(step)
    unpacking = unpacking_bytes(step)
    backward = backward_bytes(step, unpacking)
    if step.checkpointing:
        working = layer + backward
        if step.width == FP32:  # in fp32 the first norm's input is the checkpoint itself, counted there
            working -= FP32 * step.tokens * step.shape.hidden
    else:
        working = backward
    others = loss_bytes(step)
    if evaluation is not None:
        others = max(others, evaluation_bytes(evaluation) - stored)
    logits = max(0, others - working - unpacking)
    copies = max(0, forward_bytes(step) - working - unpacking - logits) if step.checkpointing else 0
    floating = stored + working + unpacking + logits + copies
    present = gradients
    if not accumulates:  # at the last layer's backward there are its own, at the first one's all, and little is kept
        layers = step.shape.layers
        present = max(gradients // layers, gradients - stored * (layers - 1) // layers)
    late = max(0, optimiser + gradients - present - floating)
    return PeakMemory(stored, working, unpacking, logits, copies, late, present)


def forward_bytes(step: MicroBatch) -> int:
    """The end of a forward that keeps the layers' inputs alone: the last layer's widest moment, or the loss.

    Autocast has its 16-bit copies of the whole adapter until the forward ends; in the backward, which calculates each
    layer again, only those of one layer.
    """
    shape, width, tokens = step.shape, step.width, step.tokens
    copies = width * adapter_parameters(step) if width != FP32 else 0
    # While the MLP's second product is calculated: the residual, the input, the gate and the product.
    layer = width * (2 * shape.hidden + 2 * shape.intermediate)
    if step.attention == MATH:  # queries, keys and values in fp32, the scores before and after the mask
        layer = max(layer, FP32 * (4 * shape.queries + 2 * shape.heads * step.length) + width * 4 * shape.hidden)
    constants = FP32 * max(out * into for out, into in shape.linears.values()) // BLOCK if step.quantised else 0
    loss = loss_bytes(step) - tokens * shape.hidden * (FP32 + (width if width != FP32 else 0))
    return copies + max(tokens * layer + unpacking_bytes(step) + constants, loss)


def optimiser_bytes(optim: str, parameters: int) -> int:
    """What the optimiser's step takes while it lasts. torch's AdamW without fusion calculates the roots of all second
    moments at once (torch._foreach_sqrt)."""
    return FP32 * parameters if optim == "adamw_torch" else 0


def checkpoint_bytes(step: MicroBatch) -> int:
    """With checkpointing a layer keeps its input alone (Chen et al. 2016)."""
    return step.tokens * step.shape.hidden * step.width


def mask_bytes(step: MicroBatch) -> int:
    """The mask from which every layer makes its own; checkpointing keeps it for what is calculated again."""
    per_score = step.width if step.attention == EAGER else 1 if step.masked else 0
    return step.shape.family.masks * per_score * step.tokens * step.length


def backward_bytes(step: MicroBatch, unpacking: int) -> int:
    """What one layer's backward adds to what its forward kept, less the unpacked matrix that `Peak` shows apart."""
    shape, family, width, tokens = step.shape, step.shape.family, step.width, step.tokens
    wide = width * shape.intermediate
    rotary = 2 * width * shape.head_dim
    # Down projection: gradients of its input from base and adapter, and their sum, less the input that is freed by
    # then. While the base's part is calculated there are fewer of these, but its matrix is unpacked.
    mlp = tokens * (2 * wide + width * shape.hidden + (FP32 * shape.hidden if family.fused else 0))
    mlp -= min(unpacking, tokens * wide)
    if step.adapter and width != FP32 and not step.quantised:
        # Calculating the down projection again: its input, that in fp32 for the adapter, which PEFT's plain layer
        # makes, the input of the MLP before and after its norm, the residual, and the result.
        mlp = max(mlp, tokens * (wide + FP32 * shape.intermediate + 5 * width * shape.hidden))
    # The norm after the MLP (Gemma 2 and 3), in fp32 but for the gradient that comes in.
    norm = tokens * (5 * FP32 + width) * shape.hidden - unpacking if family.norms > 2 else 0
    scores = 0
    if step.attention != EFFICIENT:
        per_score = 6 if step.attention == EAGER and width != FP32 else 8
        # By then the MLP and the norms around it are done with.
        freed = 4 * wide + (family.norms - 1) * FP32 * shape.hidden + width * shape.hidden
        scores = tokens * (per_score * shape.heads * step.length - freed) - unpacking
    return max(mlp, norm, scores) + tokens * rotary


def unpacking_bytes(step: MicroBatch) -> int:
    """The largest 4-bit matrix, unpacked to calculate with it; bitsandbytes unpacks one at a time."""
    if not step.quantised:
        return 0
    return step.width * max(out * into for out, into in step.shape.linears.values())


def loss_bytes(step: MicroBatch) -> int:
    """Last norm, and the loss over tiles of logits (TRL's fused head), at most for every token."""
    shape, width, tokens = step.shape, step.width, step.tokens
    last = tokens * ((FP32 + width) * shape.hidden + FP32 + 2 * width * shape.head_dim)
    # The trained positions' states (unless a mere view), their gradient in fp32, and that in the model's width.
    states = tokens * shape.hidden * FP32
    if width != FP32:
        states += tokens * shape.hidden * width
    if not step.on_cpu or step.rows > 1:
        states += tokens * shape.hidden * width
    head = FP32 * shape.vocab * shape.hidden if not step.adapter and width != FP32 else 0  # its gradient, summed up
    return last + states + head + _tile(step)


def _tile(step: MicroBatch) -> int:
    if step.frozen_head_loss:  # the scores and their logarithms
        return min(step.tokens, FROZEN_HEAD_TOKENS) * step.shape.vocab * 2 * FP32
    rows = min(step.tokens, LOSS_TOKENS)
    if step.on_cpu:
        # The tile is as wide as on a card, but memory that is never touched costs nothing on a CPU.
        return rows * min(step.shape.vocab, LOSS_COLUMNS) * (step.width + CPU_TILE)
    return rows * LOSS_COLUMNS * step.width


def evaluation_bytes(step: MicroBatch) -> int:
    """A forward that keeps nothing: one layer's widest moment, or the loss."""
    shape, width = step.shape, step.width
    scores = shape.heads * step.length * (2 * FP32 + width) if step.attention != EFFICIENT else 0
    layer = step.tokens * (max(3 * width * shape.intermediate, scores) + (2 * FP32 + width) * shape.hidden)
    return max(layer + unpacking_bytes(step), loss_bytes(step) - step.tokens * FP32 * shape.hidden)


def packed_bytes(elements: int, *, nested: bool = True) -> int:
    """One matrix as NF4: half a byte per weight, and a constant per 64 of them (Dettmers et al. 2023, section 3).

    Double quantisation keeps these constants in 8 bit, and one fp32 constant per 256 of them.
    """
    blocks = -(-elements // BLOCK)
    if nested:
        return -(-elements // 2) + blocks + FP32 * -(-blocks // CONSTANTS_BLOCK) + CODE_BYTES + NESTED_CODE_BYTES
    return -(-elements // 2) + FP32 * blocks + CODE_BYTES


def linear_bytes(shape: ModelShape, width: int, *, load_in_4bit: bool, nested: bool = True) -> int:
    if not load_in_4bit:
        return width * shape.linear_parameters
    return shape.layers * sum(packed_bytes(out * into, nested=nested) for out, into in shape.linears.values())


def plain_bytes(shape: ModelShape, width: int) -> int:
    """What is never quantised: embeddings, head, norms, biases."""
    return width * (shape.embedding_parameters + shape.other_parameters)


def written_bytes(shape: ModelShape, form: str, *, second_layout: bool) -> int:
    """The engine's own weights on a CPU, the head among them (core.serving.engine.linear_forms)."""
    layers = [*shape.linears.values()] * shape.layers + [(shape.vocab, shape.hidden)]
    if form == PACKED:
        return 0
    if form == EXACT:
        sizes = [out * into for out, into in layers]
        # The head stays where the file has it, but for its second layout.
        head = 0 if second_layout else shape.vocab * shape.hidden
        return FP32 * (sum(sizes) - head + sum(size for size in sizes if second_layout and size >= LARGE))
    if form == NF4:  # beside the codes that are there: fp32 scales, and int8 for what is in no whole blocks of NF4
        blocks = [out * -(-into // BLOCK) for out, into in layers]
        head = len(layers) - 1
        has_codes = [into % BLOCK == 0 and i != head for i, (_, into) in enumerate(layers)]
        return sum(count * (FP32 + (0 if has else BLOCK)) for count, has in zip(blocks, has_codes, strict=True))
    if form == "fp16":
        return 2 * sum(out * (-(-into // FBGEMM_ROWS) * FBGEMM_ROWS) for out, into in layers)
    return {"bf16": 2, "int8": 1}[form] * sum(out * into for out, into in layers)


def compiled_forward_bytes(shape: ModelShape) -> int:
    """What a compiled forward writes between its products: each result in fp32, each input rounded to 16 bit."""
    heads = shape.queries + 2 * shape.keys
    rounded = 2 * (shape.hidden + shape.queries + shape.intermediate)
    return PIECE * (rounded + FP32 * (2 * shape.hidden + heads + shape.queries + 2 * shape.intermediate))


def state_bytes(matrices: list[int], optim: str, sides: list[tuple[int, int]]) -> int:
    """Optimiser states over trained fp32 tensors; `matrices` are their elements, `sides` their rows and columns.

    AdamW: two moments in fp32. In 8 bit: two bytes and two fp32 constants per 256 numbers (Dettmers et al. 2022).
    Adafactor: a row and a column of means (Shazeer and Stern 2018). Plain SGD: none.
    """
    if optim == "sgd":
        return 0
    if optim == "adafactor":
        return sum(FP32 * (rows + columns) for rows, columns in sides)
    if optim == "adamw_8bit":
        return sum(
            2 * (count + FP32 * -(-count // CONSTANTS_BLOCK)) if count >= MIN_8BIT else 2 * FP32 * count
            for count in matrices
        )
    return sum(2 * FP32 * count for count in matrices)


def adapter_sides(step: MicroBatch) -> list[tuple[int, int]]:
    """Rows and columns of each of the adapter's matrices."""
    shape = step.shape
    layer = [(step.adapter, side) for path in step.targets for side in shape.linears[path]]
    table = [(step.adapter, shape.vocab), (shape.hidden, step.adapter)] if step.embeddings else []
    return shape.layers * layer + table
