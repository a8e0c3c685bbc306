"""Print this computer's Vulkan devices, one `TYPE<tab>NAME` a line. Edge: the Vulkan loader.

A program of its own, since a driver that crashes must take only this process along; standard library only. Types are
those of VkPhysicalDeviceType; nothing is printed where there is no loader or no driver.
"""

import ctypes
import ctypes.util
import sys

DEVICE_TYPES = ("OTHER", "INTEGRATED_GPU", "DISCRETE_GPU", "VIRTUAL_GPU", "CPU")
INSTANCE_CREATE_INFO = 1
INSTANCE_WORDS = 16  # of VkInstanceCreateInfo on 64-bit systems: its type, then fields that stay zero
PROPERTIES_BYTES = 2048  # VkPhysicalDeviceProperties has 824 on 64-bit systems.
TYPE_OFFSET, NAME_OFFSET, NAME_BYTES = 16, 20, 256


def devices() -> list[tuple[str, str]]:
    """(type, name) of each device; empty if the loader or every driver is missing."""
    library = ctypes.util.find_library("vulkan") or "libvulkan.so.1"
    try:
        vulkan = ctypes.CDLL(library)
    except OSError:
        return []
    vulkan.vkEnumeratePhysicalDevices.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    vulkan.vkGetPhysicalDeviceProperties.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    instance, count = ctypes.c_void_p(), ctypes.c_uint32()
    info = (ctypes.c_uint32 * INSTANCE_WORDS)(INSTANCE_CREATE_INFO)
    if vulkan.vkCreateInstance(ctypes.byref(info), None, ctypes.byref(instance)):
        return []
    vulkan.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), None)
    handles = (ctypes.c_void_p * count.value)()
    vulkan.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), handles)
    return [_described(vulkan, handle) for handle in handles[: count.value]]


def _described(vulkan: ctypes.CDLL, handle: int | None) -> tuple[str, str]:
    properties = ctypes.create_string_buffer(PROPERTIES_BYTES)
    vulkan.vkGetPhysicalDeviceProperties(handle, properties)
    kind = int.from_bytes(properties.raw[TYPE_OFFSET : TYPE_OFFSET + 4], sys.byteorder)
    name = properties.raw[NAME_OFFSET : NAME_OFFSET + NAME_BYTES].split(b"\0")[0]
    return DEVICE_TYPES[kind if kind < len(DEVICE_TYPES) else 0], name.decode(errors="replace")


if __name__ == "__main__":
    for line in devices():
        print(*line, sep="\t")
