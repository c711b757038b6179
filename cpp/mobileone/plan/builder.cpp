#include "mobileone/plan/builder.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "mobileone/base/error.hpp"
#include "mobileone/plan/function_step.hpp"

namespace mobileone {

namespace {

// One pixel in whole channel blocks lies in memory as it does in nhwc: one name for it.
Layout canonical(const Shape& shape, const Layout& layout) {
  if (shape.size() != 4) return Layout::nchw();
  const bool one_pixel = shape[2] == 1 && shape[3] == 1;
  const bool unpadded = layout.border == 0 && shape[1] % layout.block == 0;
  return one_pixel && unpadded ? Layout::nhwc() : layout;
}

// The shapes of all results, of which none has more than 2^31 - 1 in a dimension or 2^40 elements:
// what steps count with.
std::vector<Shape> plan_shapes(const Graph& graph, const Shape& input_shape) {
  constexpr std::int64_t kExtent = std::numeric_limits<std::int32_t>::max();
  constexpr std::int64_t kElements = std::int64_t{1} << 40;
  const auto check = [&](const std::string& name, const Shape& shape) {
    std::int64_t elements = 1;
    for (std::int64_t extent : shape) {
      const bool fits = extent <= kExtent && (extent <= 0 || elements <= kElements / extent);
      if (!fits) {
        throw Error(concat("[plan] ", name, " has shape ", to_string(shape),
                           "; expected at most 2^31 - 1 in each dimension and 2^40 elements"));
      }
      elements *= extent;
    }
  };
  check("input", input_shape);
  std::vector<Shape> shapes = infer_shapes(graph, input_shape);
  for (std::size_t id = 0; id < shapes.size(); ++id) check(graph.nodes()[id].name, shapes[id]);
  return shapes;
}

}  // namespace

PlanBuilder::PlanBuilder(const Network& network, const Shape& input_shape,
                         const CompileOptions& options, WeightCache& weights,
                         const std::vector<const Backend*>& backends)
    : network_(network),
      options_(options),
      weights_(weights),
      backends_(backends),
      shapes_(plan_shapes(network.graph, input_shape)),
      consumers_(network.graph.consumers()),
      gradients_(network.graph) {
  for (NodeId id = 0; id < static_cast<NodeId>(network.graph.nodes().size()); ++id) {
    if (!std::holds_alternative<Input>(node(id).op)) continue;
    Value input{shape(id), Layout::nchw()};
    input.storage = Storage::input;
    results_[id].push_back(add_value(input));
  }
  for (NodeId id : options.outputs) outputs.push_back({id, PlanOutput::Kind::value, shape(id), 0});
}

ValueId PlanBuilder::add_value(Value value) {
  values_.push_back(std::move(value));
  lifetimes.emplace_back();
  return static_cast<ValueId>(values_.size()) - 1;
}

ValueId PlanBuilder::value_of(NodeId id) const {
  const auto found = results_.find(id);
  if (found == results_.end()) throw Error(concat("[plan] ", node(id).name, " has no value yet"));
  return found->second.front();
}

bool PlanBuilder::is_output(NodeId id) const {
  return std::count(options_.outputs.begin(), options_.outputs.end(), id) > 0;
}

ValueId PlanBuilder::factor_of(NodeId id) const {
  const auto found = factors_.find(id);
  return found == factors_.end() ? -1 : found->second;
}

ValueId PlanBuilder::in_layout(NodeId id, const Layout& layout) {
  const ValueId first = value_of(id);
  const Layout wanted = canonical(shape(id), layout);
  for (ValueId candidate : results_[id]) {
    if (canonical(shape(id), value(candidate).layout) == wanted) return candidate;
  }
  const ValueId copy = add_value({shape(id), wanted});
  convert(first, copy);
  results_[id].push_back(copy);
  return copy;
}

ValueId PlanBuilder::new_result(NodeId id, const Layout& layout, bool direct) {
  Value result{shape(id), canonical(shape(id), layout)};
  const auto& wanted = options_.outputs;
  if (direct && std::count(wanted.begin(), wanted.end(), id) == 1) {
    result.storage = Storage::output;
    result.slot =
        static_cast<std::size_t>(std::find(wanted.begin(), wanted.end(), id) - wanted.begin());
  }
  results_[id].push_back(add_value(result));
  return results_[id].back();
}

ValueId PlanBuilder::new_extra_output(NodeId node, PlanOutput::Kind kind, const Shape& shape) {
  Value output{shape, Layout::nchw()};
  output.storage = Storage::output;
  output.slot = outputs.size();
  const Shape& measured = shapes_[static_cast<std::size_t>(node)];
  outputs.push_back({node, kind, shape, element_count(measured) / element_count(shape)});
  const ValueId id = add_value(output);
  extra_outputs_.emplace(std::pair{node, kind}, id);
  return id;
}

void PlanBuilder::add_step(std::unique_ptr<Step> step, const std::vector<ValueId>& reads,
                           const std::vector<ValueId>& writes) {
  const int now = static_cast<int>(steps.size());
  for (const auto* ids : {&reads, &writes}) {
    for (ValueId id : *ids) {
      Lifetime& life = lifetimes[static_cast<std::size_t>(id)];
      if (life.first < 0) life.first = now;
      life.last = std::max(life.last, now);
    }
  }
  steps.push_back(std::move(step));
}

std::shared_ptr<const void> PlanBuilder::packed(const std::string& key, std::size_t bytes,
                                                const std::function<void(void*)>& pack) {
  PackedWeight& weight = packed_weights[key];
  weight = {bytes, weights_.get(key, bytes, pack)};
  return weight.data;
}

Operand PlanBuilder::weight(const std::string& name) {
  const Tensor& tensor = network_.weight(name);
  if (!options_.training) return {-1, tensor.storage()};
  const auto [found, added] = parameter_values_.try_emplace(name, -1);
  if (added) {
    Value value{tensor.shape(), Layout::nchw(), tensor.dtype()};
    value.storage = Storage::parameter;
    value.slot = parameters.size();
    parameters.push_back(name);
    found->second = add_value(value);
  }
  return {found->second, nullptr};
}

Operand PlanBuilder::reordered(const std::string& key, const std::vector<std::string>& sources,
                               std::int64_t floats, const Pack& pack) {
  std::vector<Operand> weights;
  for (const std::string& name : sources) weights.push_back(weight(name));
  if (options_.training) {
    const ValueId result = new_kept({floats});
    return add_pack(pack_step(key, weights, value(result), result, pack), weights, result);
  }
  return {-1, packed(key, static_cast<std::size_t>(floats) * sizeof(float), [&](void* out) {
            std::vector<const float*> from;
            for (const std::string& name : sources) from.push_back(network_.weight(name).f32());
            pack(from.data(), static_cast<float*>(out));
          })};
}

ValueId PlanBuilder::new_kept(const Shape& shape) {
  const ValueId id = new_temporary(shape);
  lifetimes[static_cast<std::size_t>(id)] = {0, std::numeric_limits<int>::max()};
  return id;
}

Operand PlanBuilder::add_pack(std::unique_ptr<Step> step, const std::vector<Operand>& sources,
                              ValueId result) {
  const std::vector<ValueId> parameters_read = values_of(sources);
  std::vector<std::size_t> slots;
  for (ValueId id : parameters_read) slots.push_back(value(id).slot);
  // An optimizer changes weights in place, between runs of a plan with gradients.
  if (!options_.gradients) step = when_changed(std::move(step), std::move(slots));
  add_step(std::move(step), parameters_read, {result});
  return {result, nullptr};
}

std::vector<ValueId> PlanBuilder::values_of(const std::vector<Operand>& operands) {
  std::vector<ValueId> values;
  for (const Operand& operand : operands) {
    if (operand.value >= 0) values.push_back(operand.value);
  }
  return values;
}

std::size_t PlanBuilder::emit(const Backend& backend, const std::vector<LoweredOp>& ops,
                              std::size_t at) {
  const bool before = in_use_.count(&backend) > 0;
  in_use_.insert(&backend);
  const std::size_t taken = backend.emit(ops, at, *this);
  if (taken == 0 && !before) in_use_.erase(&backend);
  return taken;
}

const Record* PlanBuilder::stored_record(const std::string& name) const {
  if (!options_.records) return nullptr;
  const auto found = options_.records->find(name);
  if (found == options_.records->end()) throw Error(concat("[plan] no record of ", name));
  return &found->second;
}

const Record* PlanBuilder::choice(const std::string& name) const {
  const auto found = options_.choices.find(name);
  return found == options_.choices.end() ? nullptr : &found->second;
}

template <typename Make>
void PlanBuilder::add_made(const std::vector<ValueId>& reads, const std::vector<ValueId>& writes,
                           const std::string& what, const Make& make) {
  for (const Backend* backend : backends_) {
    if (backend != backends_.back() && in_use_.count(backend) == 0) continue;
    if (auto step = make(*backend)) return add_step(std::move(step), reads, writes);
  }
  throw NotSupported(concat("[plan] no backend has a step for ", what));
}

void PlanBuilder::convert(ValueId from, ValueId to) {
  add_made(
      {from}, {to},
      concat("a reorder from ", to_string(value(from).layout), " to ", to_string(value(to).layout)),
      [&](const Backend& backend) { return backend.reorder(from, to, *this); });
}

void PlanBuilder::on_backward(std::function<void()> emit) {
  if (options_.gradients) gradients_.record(std::move(emit));
}

void PlanBuilder::add_gradient(NodeId id, ValueId part, bool before_activation) {
  gradients_.add(id, part, before_activation);
}

// The gradient of a node's result.
void PlanBuilder::add_zeros(NodeId id, const Layout& layout) {
  const ValueId zeros = new_gradient(id, layout);
  StepInfo info;
  info.name = node(id).name;
  info.kind = "Zero";
  info.implementation = "memset";
  info.output_shape = shape(id);
  info.bytes = static_cast<std::int64_t>(value(zeros).bytes());
  const auto run = [zeros, bytes = value(zeros).bytes()](const Buffers& buffers) {
    std::memset(buffers.address(zeros), 0, bytes);
  };
  add_step(function_step(std::move(info), run), {}, {zeros});
  add_gradient(id, zeros);
}

ValueId PlanBuilder::gradient_of(const LoweredOp& op, const Layout& layout) {
  if (!gradients_.has(op.result)) add_zeros(op.result, layout);
  const Gradients::Parts& parts = gradients_.of(op.result);
  const Layout wanted = canonical(shape(op.result), layout);
  std::vector<ValueId> summands;
  for (ValueId part : parts.values) {
    if (canonical(shape(op.result), value(part).layout) != wanted) {
      const ValueId copy = new_gradient(op.result, wanted);
      convert(part, copy);
      part = copy;
    }
    summands.push_back(part);
  }
  ValueId gradient = summands.front();
  if (summands.size() > 1) {
    gradient = new_gradient(op.result, wanted);
    add_made(summands, {gradient}, "a sum",
             [&](const Backend& backend) { return backend.sum(summands, gradient, *this); });
  }
  if (op.activation && !parts.before_activation) {
    const ActivationGradient values{in_layout(op.result, wanted), gradient,
                                    new_gradient(op.result, wanted)};
    add_made({values.y, values.gradient}, {values.result}, "an activation's gradient",
             [&](const Backend& backend) {
               return backend.activation_gradient(*op.activation, values, *this);
             });
    gradient = values.result;
  }
  return gradient;
}

ValueId PlanBuilder::new_weight_gradient(NodeId node, const std::string& weight) {
  const ValueId id =
      new_extra_output(node, PlanOutput::Kind::gradient, network_.weight(weight).shape());
  outputs.back().weight = weight;
  return id;
}

void PlanBuilder::add_cross_entropy() {
  const NodeId logits = network_.graph.output;
  Value targets{shape(logits), Layout::nchw()};
  targets.storage = Storage::targets;
  const CrossEntropy values{value_of(logits), add_value(targets),
                            new_extra_output(logits, PlanOutput::Kind::loss, {}),
                            new_gradient(logits, Layout::nchw())};
  add_made({values.logits, values.targets}, {values.loss, values.gradient}, "cross entropy",
           [&](const Backend& backend) { return backend.cross_entropy(values, *this); });
  add_gradient(logits, values.gradient);
}

void PlanBuilder::add_outer_loss() {
  const ValueId loss = new_extra_output(options_.outputs.front(), PlanOutput::Kind::loss, {});
  std::vector<ValueId> gradients;
  for (NodeId id : options_.outputs) {
    gradients.push_back(new_gradient(id, Layout::nchw()));
    add_gradient(id, gradients.back());
  }
  StepInfo info;
  info.name = "gradient";
  info.kind = "OuterLoss";
  info.implementation = "the caller's";
  const auto run = [=](const Buffers& buffers) {
    std::vector<float*> places;
    for (ValueId id : gradients) places.push_back(static_cast<float*>(buffers.address(id)));
    *static_cast<float*>(buffers.address(loss)) =
        static_cast<float>((*buffers.arguments.loss)(places));
  };
  std::vector<ValueId> writes = gradients;
  writes.push_back(loss);
  add_step(function_step(std::move(info), run), {}, writes);
}

void PlanBuilder::differentiate() {
  options_.outer_loss ? add_outer_loss() : add_cross_entropy();
  for (const auto& emit : gradients_.reversed()) emit();
}

void PlanBuilder::finish_outputs() {
  for (std::size_t slot = 0; slot < options_.outputs.size(); ++slot) {
    const NodeId id = options_.outputs[slot];
    const ValueId made = value_of(id);
    if (value(made).storage == Storage::output && value(made).slot == slot) continue;
    Value output{shape(id), Layout::nchw()};
    output.storage = Storage::output;
    output.slot = slot;
    convert(made, add_value(output));
  }
}

}  // namespace mobileone
