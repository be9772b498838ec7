// Layers that are not lockstep's: the plan runs them like its own, and what no plan could run is refused.
#include <gmock/gmock.h>

#include "layers/nn/simple_layers.h"
#include "tests/unit/custom/cubic.h"
#include "tests/unit/model/steps.h"
#include "trainer/export/onnx.h"

namespace lockstep::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

LayerSpec spec_of(std::string name, CustomLayer type) {
  return {std::move(name), default_spec(std::make_shared<const CustomLayer>(std::move(type)))};
}

// Behind a convolution and a batch_norm, in a residual block, on vectors, and as the first layer of all.
ModelOptions network_with_cubics() {
  ModelOptions options = small_resnet();
  auto& layers = options.spec.layers;
  layers[2] = spec_of("relu1", cubic());
  std::get<ResidualSpec>(layers[3].layer).body[2] = spec_of("cubic", cubic());
  layers.insert(layers.end() - 1, spec_of("cubic", cubic()));
  layers.insert(layers.begin(), spec_of("first", cubic()));
  return options;
}

TEST(CustomLayers, GiveOneAnswerOnAnyNumberOfWorkers) {
  const Steps one{.workers = 1, .batches = {16, 13, 5}};
  const Outcome expected = run_steps(network_with_cubics(), one)[0];
  for (const char* name : {"first.a", "relu1.b", "layer1.cubic.c", "cubic.d"}) {
    ASSERT_TRUE(expected.state.contains(name)) << name;
    const auto& bytes = expected.gradients.at(name);
    EXPECT_TRUE(std::ranges::any_of(bytes, [](std::byte byte) { return byte != std::byte{0}; })) << name;
  }
  for (const int workers : {2, 3, 8}) {
    const auto outcomes = run_steps(network_with_cubics(), {.workers = workers, .batches = one.batches});
    for (const Outcome& outcome : outcomes) EXPECT_TRUE(outcome == expected) << workers << " workers";
  }
  ModelOptions changed = network_with_cubics();
  changed.fuse = changed.recompute = false;
  EXPECT_TRUE(run_steps(changed, {.workers = 2, .batches = one.batches})[0] == expected);
}

class Unplannable : public Cubic {
 public:
  using Cubic::Cubic;
  std::unique_ptr<Kernel> make_kernel(const KernelShape& /*shape*/) const override {
    throw UsageError("nothing can compute this");
  }
};

TEST(CustomLayers, WhoseKernelsCannotBeMadeAreNamed) {
  CustomLayer type = cubic();
  type.make = [](const LayerPlace& place, const Attributes&) { return std::make_unique<Unplannable>(place); };
  ModelOptions options = small_resnet();
  options.spec.layers[2] = spec_of("relu1", type);
  const auto run = [&] { run_steps(options, {}); };
  EXPECT_THAT(run,
              ::testing::ThrowsMessage<UsageError>(HasSubstr("layer 'relu1': nothing can compute this")));
}

TEST(CustomLayers, StartAsTheirParametersSay) {
  class Started : public Layer {
   public:
    explicit Started(const LayerPlace& place) : Layer(place.name, place.input, place.input) {
      declare_constant("slope", {input().channels}, Parameter::Role::bias, 0.25);
    }
    std::string_view type() const override { return "started"; }
    std::unique_ptr<Kernel> make_kernel(const KernelShape&) const override { return nullptr; }
  };
  CustomLayer type = cubic();
  type.make = [](const LayerPlace& place, const Attributes&) { return std::make_unique<Started>(place); };
  ModelOptions options = small_resnet();
  options.spec.layers.insert(options.spec.layers.begin(), spec_of("first", type));
  Model model(options, 1, 0);
  model.initialize();
  const auto slope = std::ranges::find(model.parameters(), "first.slope", &Parameter::name);
  ASSERT_NE(slope, model.parameters().end());
  for (std::size_t i = 0; i < slope->count(); ++i) EXPECT_EQ(model.arena()[slope->offset + i], 0.25F);
}

std::string refusal(CustomLayer type) {
  ModelOptions options = small_resnet();
  options.spec.layers.insert(options.spec.layers.begin(), spec_of("mine", std::move(type)));
  try {
    const Model model(options, 1, 0);
    return "";
  } catch (const UsageError& error) {
    return error.what();
  }
}

// A layer of its own making, at this place.
using Make = std::function<std::unique_ptr<Layer>(const LayerPlace& place)>;
std::string refusal_of_made(const Make& make) {
  CustomLayer type = cubic();
  type.make = [make](const LayerPlace& place, const Attributes&) { return make(place); };
  return refusal(type);
}

TEST(CustomLayers, ThatNoPlanCouldRunAreRefused) {
  struct Fifth : Cubic {
    explicit Fifth(const LayerPlace& place) : Cubic(place) { declare("e", {1}, Parameter::Role::bias, 1); }
  };
  struct Empty : Layer {
    explicit Empty(const LayerPlace& place)
        : Layer(place.name, place.input, {.height = 6, .width = 0, .channels = 2}) {}
    std::string_view type() const override { return "empty"; }
    std::unique_ptr<Kernel> make_kernel(const KernelShape&) const override { return nullptr; }
  };
  const std::string begin =
      "layer 'mine' (cubic), for the input 6x6x2: the program that brings this layer made ";
  EXPECT_EQ(refusal_of_made([](const LayerPlace&) { return nullptr; }), begin + "nothing");
  EXPECT_EQ(refusal_of_made([](const LayerPlace& place) { return std::make_unique<Fifth>(place); }),
            begin + "one with 5 parameters, and a kernel has room for 4");
  EXPECT_EQ(refusal_of_made([](const LayerPlace& place) { return std::make_unique<Empty>(place); }),
            begin + "one with the output 6x0x2");
  EXPECT_EQ(refusal_of_made(
                [](const LayerPlace& place) { return std::make_unique<Relu>(place.name, place.input); }),
            begin + "one of a kind that is not for compute");
  EXPECT_EQ(refusal_of_made([](LayerPlace place) {
              place.name = "yours";
              return std::make_unique<Cubic>(place);
            }),
            begin + "one called 'yours'");
  EXPECT_EQ(refusal_of_made([](LayerPlace place) {
              place.input.channels = 3;
              return std::make_unique<Cubic>(place);
            }),
            begin + "one for the input 6x6x3");
}

TEST(CustomLayers, SayThemselvesWhichShapeDoesNotFit) {
  EXPECT_EQ(refusal_of_made([](const LayerPlace& place) -> std::unique_ptr<Layer> {
              throw UsageError("layer '" + place.name + "' (cubic): no " + to_string(place.input));
            }),
            "layer 'mine' (cubic): no 6x6x2");
}

TEST(CustomLayers, AreRefusedInAPrecisionThatTheyDoNotKnow) {
  ModelOptions options = network_with_cubics();
  options.training = Element::bf16;
  try {
    const Model model(options, 1, 0);
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(),
                HasSubstr("layer 'first' (cubic): the program that brings this layer computes it in fp32"));
  }
}

TEST(CustomLayers, AreNotExported) {
  InferenceNetwork network{.layers = {spec_of("mine", cubic())},
                           .input = {.height = 1, .width = 1, .channels = 1},
                           .classes = 1,
                           .eps = 1e-5,
                           .tensors = {}};
  const std::vector<double> one{0.5};
  try {
    onnx_file(network, one, one, {});
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("layer 'mine' (cubic) cannot be exported"), HasSubstr("ONNX")));
  }
}

}  // namespace
}  // namespace lockstep::testing
