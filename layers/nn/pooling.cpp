#include "layers/nn/pooling.h"

#include "layers/nn/window.h"
#include "layers/ops/device.h"

namespace lockstep {

namespace {

std::string_view type_of(Pooling::Kind kind) {
  return kind == Pooling::Kind::max ? "max_pool" : "avg_pool";
}

SampleShape output_shape(const std::string& name, const SampleShape& in, Pooling::Kind kind,
                         std::int64_t window, std::int64_t stride, std::int64_t padding) {
  if (padding >= window) {
    throw UsageError(fmt::format("layer '{}' ({}): padding {} must be less than the window {}", name,
                                 type_of(kind), padding, window));
  }
  return {.height = windows(type_of(kind), name, in, in.height, window, stride, padding),
          .width = windows(type_of(kind), name, in, in.width, window, stride, padding),
          .channels = in.channels};
}

}  // namespace

PoolingLayer::PoolingLayer(const std::string& name, const SampleShape& input, Pooling::Kind pooling,
                           std::int64_t window, std::int64_t stride, std::int64_t padding)
    : Layer(name, input, output_shape(name, input, pooling, window, stride == 0 ? window : stride, padding)),
      pooling_{.kind = pooling,
               .in = input,
               .out = output(),
               .window = window,
               .stride = stride == 0 ? window : stride,
               .padding = padding} {}

std::string_view PoolingLayer::type() const {
  return type_of(pooling_.kind);
}

std::unique_ptr<Kernel> PoolingLayer::make_kernel(const KernelShape& shape) const {
  return device_of(shape).make_pooling(pooling_, shape);
}

}  // namespace lockstep
