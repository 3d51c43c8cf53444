"""Bundles: a program with all it needs to run on VTA's driver, in a folder."""

from vtacsp.bundle.bundle import Bundle
from vtacsp.bundle.manifest import Buffer, Launch, Manifest
from vtacsp.bundle.pack import pack

__all__ = ["Buffer", "Bundle", "Launch", "Manifest", "pack"]
