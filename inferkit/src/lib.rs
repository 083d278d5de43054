//! inferkit
