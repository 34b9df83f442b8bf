from homes import db, migrated, settings

__all__ = ["db", "migrated", "settings"]
