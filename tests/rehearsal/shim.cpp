// What a CPU build of torch lacks to run fake tensors that say they are on "cuda": hooks that answer as those of a
// CUDA build with one card, and a device guard, for the autograd engine, that has nothing to switch.
// tests/rehearsal/shim.py compiles and loads it, before torch itself.
#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

namespace at {
struct OneCard : CUDAHooksInterface {
  explicit OneCard(CUDAHooksArgs) {}
  void init() const override {}
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasCUDA() const override { return true; }
  bool hasPrimaryContext(DeviceIndex) const override { return true; }
  int getNumGPUs() const override { return 1; }
  DeviceIndex deviceCount() const override { return 1; }
  DeviceIndex getCurrentDevice() const override { return 0; }
  DeviceIndex current_device() const override { return 0; }
  void setCurrentDevice(DeviceIndex) const override {}
  DeviceIndex exchangeDevice(DeviceIndex) const override { return 0; }
  DeviceIndex maybeExchangeDevice(DeviceIndex) const override { return 0; }
};
using CUDAHooks = OneCard; // the registry's macro makes its key of the class's name
REGISTER_CUDA_HOOKS(CUDAHooks)
} // namespace at

namespace {
using namespace c10;
struct Guard : impl::NoOpDeviceGuardImpl<DeviceType::CUDA> {
  const Device card{DeviceType::CUDA, 0};
  const Stream only{Stream::DEFAULT, card};
  Device getDevice() const override { return card; }
  Device exchangeDevice(Device) const override { return card; }
  Stream getStream(Device) const noexcept override { return only; }
  Stream getNewStream(Device, int) const override { return only; }
  Stream exchangeStream(Stream) const noexcept override { return only; }
  void record(void**, const Stream&, const DeviceIndex, const EventFlag) const override {}
  void block(void*, const Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
} guard;
} // namespace

extern "C" void set_guard() { c10::impl::device_guard_impl_registry[static_cast<size_t>(c10::DeviceType::CUDA)].store(&guard); }
