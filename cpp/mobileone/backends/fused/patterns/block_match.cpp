#include "mobileone/backends/fused/patterns/block_match.hpp"

#include "mobileone/backends/fused/activation.hpp"
#include "mobileone/backends/fused/support.hpp"
#include "mobileone/kernels/conv/conv.hpp"

namespace mobileone::fused {

namespace {

using kernels::Activation;
using kernels::ExcitePlace;

// Of a convolution that was just taken; nothing if the kernels do not know its activation.
std::optional<ConvMatch> taken_conv(const Cursor& cursor) {
  const auto activation = map_activation(cursor.activation());
  if (!activation) return std::nullopt;
  return ConvMatch{cursor.node(), *activation};
}

std::optional<ConvMatch> take_pointwise(Cursor& cursor) {
  const auto* conv = cursor.get<Conv2d>();
  if (!conv || !is_dense(*conv, 1, 1)) return std::nullopt;
  cursor.skip(1);
  return taken_conv(cursor);
}

// A dilated 3x3 kernel that is one of 5x5 or 7x7 with zeros between its weights.
bool is_spread(const Conv2d& conv) {
  return is_dilated(conv, 3) && (conv.dilation[0] == 2 || conv.dilation[0] == 3);
}

std::optional<ConvMatch> take_depthwise(Cursor& cursor) {
  const auto* conv = cursor.get<Conv2d>();
  const bool fits =
      conv && conv->depthwise() && conv->stride[0] <= 2 &&
      (is_conv(*conv, 3) || is_conv(*conv, 5) || is_conv(*conv, 7) || is_spread(*conv));
  if (!fits) return std::nullopt;
  cursor.skip(1);
  return taken_conv(cursor);
}

// Takes one whose parts the kernels know, and the activation after it, which `activation` is set
// to.
std::optional<SqueezeMatch> take_known_squeeze(Cursor& cursor, Activation& activation) {
  Cursor next = cursor;
  const auto squeeze = take_squeeze(next);
  if (!squeeze || squeeze->reduced > squeeze->channels) return std::nullopt;
  const auto after = map_activation(next.activation());
  if (!kernel_activation(squeeze->activation) || !kernel_activation(squeeze->gate) || !after) {
    return std::nullopt;
  }
  cursor = next;
  activation = *after;
  return squeeze;
}

// Takes an SE after the depthwise convolution: before its activation or after it.
void take_excite(Cursor& cursor, BlockMatch& match) {
  Cursor next = cursor;
  Activation after = Activation::kNone;
  const auto squeeze = take_known_squeeze(next, after);
  const bool active = match.depthwise.activation != Activation::kNone;
  if (!squeeze || (active && after != Activation::kNone)) return;
  cursor = next;
  match.excite = squeeze;
  match.place = active ? ExcitePlace::kAfterActivation : ExcitePlace::kBeforeActivation;
  if (!active) match.depthwise.activation = after;
}

// Takes the sum of the source and the projection, and the activation of it.
void take_residual(Cursor& cursor, BlockMatch& match) {
  const Conv2d* const depthwise = match.find_depthwise(cursor.builder());
  const bool free = match.project.activation == Activation::kNone &&
                    (depthwise == nullptr || depthwise->stride[0] == 1);
  Cursor next = cursor;
  if (!free || !cursor.hands_over() || next.take_sum(cursor.result()) != match.source) return;
  const auto activation = map_activation(next.activation());
  if (!activation) return;
  cursor = next;
  match.residual = true;
  match.project.activation = *activation;
}

// A map between two 1x1 convolutions is not made if it would be larger: beside source and result
// it would not stay in the L2 of any core. A constant: a stored plan is the same on all machines.
constexpr std::size_t kLargeMap = 512 * 1024;

// Whether the kernels run the next 1x1 convolution, the last one's only reader, without a depthwise
// between, of a source that is joined or not.
bool mixes_channels(const Cursor& cursor, bool joined) {
  const auto* project = cursor.get<Conv2d>();
  const kernels::KernelTable& kernels = table(cursor.builder());
  if (!project || !is_dense(*project, 1, 1) || kernels.traits.per_lane != 1) return false;
  const kernels::MapShape hidden = map_shape(cursor.builder().shape(cursor.result()));
  return kernels::fills_microkernels(kernels.traits, hidden.width) &&
         (joined || sizeof(float) * static_cast<std::size_t>(hidden.num_floats()) > kLargeMap);
}

// Everything but an SE after the projection.
std::optional<BlockMatch> take_block(Cursor& cursor) {
  BlockMatch match;
  match.joined = take_joined(cursor);
  match.source = cursor.inputs()[0];
  Cursor expanded = cursor;
  match.expand = take_pointwise(expanded);
  if (match.expand) {
    if (!expanded.hands_over()) return std::nullopt;
    cursor = expanded;
  }
  if (const auto depthwise = match.joined ? std::nullopt : take_depthwise(cursor)) {
    match.depthwise = *depthwise;
    take_excite(cursor, match);
  } else if (!match.expand || !mixes_channels(cursor, match.joined.has_value())) {
    return std::nullopt;
  }
  const auto project = cursor.hands_over() ? take_pointwise(cursor) : std::nullopt;
  if (!project) return std::nullopt;
  match.project = *project;
  take_residual(cursor, match);
  // A convolution alone adds any map.
  const bool sums =
      match.depthwise.node < 0 && !match.residual && Cursor(cursor).take_residual() >= 0;
  if (sums) return std::nullopt;
  return match;
}

// Whether factor * activation(x) = activation(factor * x) for every factor that the gate makes.
bool commutes(Activation activation, Activation gate) {
  return activation == Activation::kNone ||
         (activation == Activation::kRelu &&
          (gate == Activation::kSigmoid || gate == Activation::kHardSigmoid));
}

// Whether what reads the result of the operator taken last multiplies it with a factor.
bool factor_is_applied(Cursor cursor) {
  if (!cursor.hands_over()) return false;
  if (cursor.get<GlobalAvgPool>()) return true;
  const auto next = take_block(cursor);
  return next && !next->expand && !next->residual;
}

// Takes an SE after the projection, whose factor somebody applies.
void take_factor(Cursor& cursor, BlockMatch& match) {
  if (match.residual || match.project.activation != Activation::kNone) return;
  Cursor next = cursor;
  Activation activation = Activation::kNone;
  const auto squeeze = take_known_squeeze(next, activation);
  if (!squeeze || !commutes(activation, *kernel_activation(squeeze->gate))) return;
  if (!factor_is_applied(next)) return;
  cursor = next;
  match.factor = squeeze;
  match.project.activation = activation;
}

}  // namespace

std::optional<BlockMatch> match_block(const Cursor& at) {
  Cursor cursor = at;
  auto match = take_block(cursor);
  if (!match) return std::nullopt;
  take_factor(cursor, *match);
  match->ops = cursor.taken();
  return match;
}

}  // namespace mobileone::fused
