#include "mobileone/backends/onednn/primitive_step.hpp"

#include "mobileone/backends/onednn/finish.hpp"
#include "mobileone/backends/onednn/memory.hpp"
#include "mobileone/backends/onednn/team.hpp"

namespace mobileone::onednn {

namespace {

class BoundPrimitive : public BoundStep {
 public:
  BoundPrimitive(const dnnl::primitive& primitive, const std::vector<Argument>& arguments,
                 const dnnl::memory::desc& scratchpad, std::int64_t images, const Finish& finish,
                 const Buffers& buffers)
      : primitive_(primitive), buffers_(buffers), images_(images), finish_(finish) {
    for (const Argument& argument : arguments) {
      const ValueId value = argument.operand.value;
      const bool external = value >= 0 && buffers.is_external(value);
      void* address = external ? nullptr : const_cast<float*>(argument.operand.address(buffers));
      memories_.emplace_back(argument.desc, cpu_engine(), address);
      if (external || images > 1) {
        moving_.push_back({memories_.size() - 1, value, argument.image_bytes,
                           static_cast<std::byte*>(address), external});
      }
      arguments_.push_back({argument.index, memories_.back().get()});
    }
    memories_.emplace_back(scratchpad, cpu_engine(), buffers.scratch());
    arguments_.push_back({DNNL_ARG_SCRATCHPAD, memories_.back().get()});
  }

  void run() override {
    const TeamScope scope(buffers_.threads());
    for (std::int64_t image = 0; image < images_; ++image) {
      for (const Moving& argument : moving_) {
        auto* base = argument.external ? static_cast<std::byte*>(buffers_.address(argument.value))
                                       : argument.base;
        memories_[argument.memory].set_data_handle(base + static_cast<std::size_t>(image) *
                                                              argument.image_bytes);
      }
      const dnnl_status_t status =
          dnnl_primitive_execute(primitive_.get(), thread_stream().get(),
                                 static_cast<int>(arguments_.size()), arguments_.data());
      if (status == dnnl_out_of_memory) throw std::bad_alloc();
      dnnl::error::wrap_c_api(status, "a oneDNN primitive failed");
    }
    if (finish_.activation) {
      auto* const result = static_cast<float*>(buffers_.address(finish_.value));
      const float* const summand = result;
      sum_and_finish(&summand, 1, result, finish_.floats, finish_.activation);
    }
  }

 private:
  // An argument whose address is not the same in every execution.
  struct Moving {
    std::size_t memory;
    ValueId value;
    std::size_t image_bytes;
    std::byte* base;
    bool external;
  };

  dnnl::primitive primitive_;
  const Buffers& buffers_;
  std::int64_t images_;
  const Finish& finish_;
  std::vector<dnnl::memory> memories_;
  std::vector<Moving> moving_;
  std::vector<dnnl_exec_arg_t> arguments_;
};

}  // namespace

PrimitiveStep::PrimitiveStep(StepInfo info, const dnnl::primitive& primitive,
                             const dnnl::memory::desc& scratchpad, std::vector<Argument> arguments,
                             std::int64_t images, const Finish& finish)
    : Step(std::move(info)),
      primitive_(primitive),
      scratchpad_(scratchpad),
      arguments_(std::move(arguments)),
      images_(images),
      finish_(finish) {}

std::unique_ptr<BoundStep> PrimitiveStep::bind(const Buffers& buffers) const {
  return std::make_unique<BoundPrimitive>(primitive_, arguments_, scratchpad_, images_, finish_,
                                          buffers);
}

Argument plain_weight(int index, PlanBuilder& builder, const std::string& name,
                      const dnnl::memory::dims& dims) {
  return {index, plain_desc(dims), builder.weight(name)};
}

namespace {

// Adds the step that reorders a weight which is a parameter.
Operand reorder_weight(PlanBuilder& builder, const std::string& name,
                       const dnnl::memory::desc& plain, const dnnl::memory::desc& packed) {
  const dnnl::reorder::primitive_desc primitive(cpu_engine(), plain, cpu_engine(), packed,
                                                strict_attributes());
  const Operand source = builder.weight(name);
  const auto floats = static_cast<std::int64_t>((packed.get_size() + 3) / sizeof(float));
  const ValueId result = builder.new_kept({floats});
  return builder.add_pack(
      std::make_unique<PrimitiveStep>(
          pack_info(name, implementation_name(primitive), builder.value(result)),
          dnnl::reorder(primitive), primitive.scratchpad_desc(),
          std::vector<Argument>{{DNNL_ARG_FROM, plain, source},
                                value_argument(DNNL_ARG_TO, packed, result)}),
      {source}, result);
}

}  // namespace

Argument packed_weight(int index, PlanBuilder& builder, const std::string& name,
                       const dnnl::memory::dims& dims, const dnnl::memory::desc& packed) {
  const dnnl::memory::desc plain = plain_desc(dims);
  if (packed == plain) return plain_weight(index, builder, name, dims);
  if (builder.options().training) {
    return {index, packed, reorder_weight(builder, name, plain, packed)};
  }
  const Tensor& tensor = builder.network().weight(name);
  const auto pack = [&](void* out) {
    dnnl::memory from(plain, cpu_engine(), const_cast<void*>(tensor.data()));
    dnnl::memory to(packed, cpu_engine(), out);
    dnnl::reorder(from, to).execute(thread_stream(), from, to);
    thread_stream().wait();
  };
  const std::string key = name + " onednn " + key_of(packed);
  return {index, packed, {-1, builder.packed(key, packed.get_size(), pack)}};
}

Argument value_argument(int index, const dnnl::memory::desc& desc, ValueId value) {
  return {index, desc, {value, nullptr}};
}

ValueId dense_value(PlanBuilder& builder, NodeId node) {
  const ValueId made = builder.value_of(node);
  if (builder.value(made).layout.border == 0) return made;
  return builder.in_layout(node, preferred_layout(builder.shape(node)));
}

}  // namespace mobileone::onednn
