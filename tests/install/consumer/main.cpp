// lockstep with one more layer: my_lockstep train config.yaml
#include "prelu.h"
#include "trainer/cli/command_line.h"
#include "trainer/config/custom_layers.h"

int main(int argc, char** argv) {
  lockstep::register_layer(consumer::prelu());
  return lockstep::run_command_line(argc, argv);
}
