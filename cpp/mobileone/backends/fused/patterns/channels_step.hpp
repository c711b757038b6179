#pragma once

#include "mobileone/backends/fused/patterns/channels_match.hpp"

namespace mobileone::fused {

void emit_channels(const ChannelsMatch& match, PlanBuilder& builder);

}  // namespace mobileone::fused
