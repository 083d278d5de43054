//! What the tensors of a decoder are called in a published checkpoint and in a GGUF.

/// A tensor's name in both kinds of file, without `.weight` or `.bias`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name {
    /// In safetensors; behind `model.layers.N.` for tensors of a layer.
    pub(crate) published: &'static str,
    /// In GGUF; behind `blk.N.` for tensors of a layer.
    pub(crate) gguf: &'static str,
}

const fn name(published: &'static str, gguf: &'static str) -> Name {
    Name { published, gguf }
}

pub(crate) const EMBEDDING: Name = name("model.embed_tokens", "token_embd");
pub(crate) const FINAL_NORM: Name = name("model.norm", "output_norm");
pub(crate) const OUTPUT: Name = name("lm_head", "output");

pub(crate) const ATTENTION_NORM: Name = name("input_layernorm", "attn_norm");
pub(crate) const QUERY: Name = name("self_attn.q_proj", "attn_q");
pub(crate) const KEY: Name = name("self_attn.k_proj", "attn_k");
pub(crate) const VALUE: Name = name("self_attn.v_proj", "attn_v");
pub(crate) const ATTENTION_OUTPUT: Name = name("self_attn.o_proj", "attn_output");
pub(crate) const QUERY_NORM: Name = name("self_attn.q_norm", "attn_q_norm");
pub(crate) const KEY_NORM: Name = name("self_attn.k_norm", "attn_k_norm");
pub(crate) const MLP_NORM: Name = name("post_attention_layernorm", "ffn_norm");
pub(crate) const GATE: Name = name("mlp.gate_proj", "ffn_gate");
pub(crate) const UP: Name = name("mlp.up_proj", "ffn_up");
pub(crate) const DOWN: Name = name("mlp.down_proj", "ffn_down");
pub(crate) const ROUTER: Name = name("mlp.gate", "ffn_gate_inp");

/// Experts: one tensor each in a checkpoint (`mlp.experts.E.gate_proj`), one stack a layer in a GGUF.
pub(crate) const EXPERT_GATE: Name = name("gate_proj", "ffn_gate_exps");
pub(crate) const EXPERT_UP: Name = name("up_proj", "ffn_up_exps");
pub(crate) const EXPERT_DOWN: Name = name("down_proj", "ffn_down_exps");
